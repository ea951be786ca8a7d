"""Checkpoints: weights, accumulators, metrics and the position in the data, each with its health."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...foundation.atomic_files import write_json, write_text
from ...foundation.formatting import first_line
from ...models.ranker import MultitaskRanker
from ..config.errors import UserError
from ..divergence import DivergenceMonitor
from ..divergence.weight_check import has_finite_state
from .plain_path import make_plain_path

# The monitor detects a divergence at most this many steps after its start, so older weights are safe for a rollback.
_MAX_DETECTION_DELAY = 64
# TensorFlow raises any of these errors for a damaged file. IndexError means that the file is too short.
_DAMAGE_ERRORS = (tf.errors.OpError, AssertionError, IndexError, ValueError, RuntimeError)


class Checkpoints:
    """Saves and restores a run. The monitor uses the checkpoints as snapshots for its rollbacks.

    ``health.json`` in the same folder holds three values for each checkpoint: ``step``, ``verdict`` (of the whole run
      until
    that step) and ``health`` (at that step: ``healthy``, ``out_of_range`` or ``full``).

    Args:
      path: The folder.
      ranker: The compiled ranker.
      keep: Number of newest checkpoints to keep. The newest healthy checkpoint that is safe for a rollback is kept as
        well.
    """

    def __init__(self, path: Path, ranker: MultitaskRanker, keep: int = 3):
        self._ranker = ranker
        self._position = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches_trained_on")
        self._checkpoint = tf.train.Checkpoint(ranker=ranker, optimizer=ranker.optimizer, position=self._position)
        self._folder = path
        self._path = make_plain_path(path, self)
        self._keep = keep
        self._manager = self._make_manager()
        self._monitor: DivergenceMonitor | None = None
        self._saved_step: int | None = None
        self._health_file = path / "health.json"

    def attach_monitor(self, monitor: DivergenceMonitor) -> None:
        """Includes the monitor's state in checkpoints, and its verdict and health in ``health.json``."""
        self._monitor = monitor
        self._checkpoint.monitor = monitor.state

    def save(self, step: int) -> None:
        """Saves the run after ``step`` steps, unless a checkpoint of that step exists."""
        if step == self._saved_step:
            return
        self._position.assign(step)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._manager.save(checkpoint_number=step)
        self._saved_step = step
        stamp: dict[str, Any] = {"step": step}
        if self._monitor is not None:
            stamp |= {"verdict": self._monitor.verdict, "health": self._monitor.health}
        stamps = self._read_stamps() | {Path(path).name: stamp}
        remaining = self._remove_old(stamps, step)
        write_json(self._health_file, {name: stamps[name] for name in stamps if name in remaining})

    def resume(self, report: Callable[[str], None]) -> int:
        """Restores the newest checkpoint that can be read.

        An older checkpoint costs only time: the run repeats the same steps.

        Args:
          report: Called with a line of text for each checkpoint that cannot be read.

        Returns:
          The step of the checkpoint; 0 if there are no checkpoints.

        Raises:
          UserError: If there are checkpoints, but none can be read.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                # Commands that only read a run have no monitor to restore.
                self._checkpoint.restore(path).expect_partial().assert_existing_objects_matched()
            except _DAMAGE_ERRORS as error:
                report(
                    f"Checkpoint {self._folder / Path(path).name} cannot be read; trying the one before it. Reason: {first_line(error)}"
                )
                continue
            self._saved_step = int(self._position)
            return self._saved_step
        if self._manager.checkpoints:
            raise UserError(
                f"none of the checkpoints in {self._folder} can be read; start a new run in another --model_dir"
            )
        return 0

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Does nothing, because the training loop and its callback decide when to save."""

    def restore(self, before: int) -> int | None:
        """Rolls weights and accumulators back to the newest healthy checkpoint of a step below ``before``.

        Returns:
          The step of the checkpoint; None if no such checkpoint can be read.
        """
        stamps = self._read_stamps()
        iterations = self._ranker.optimizer.iterations
        steps_taken = int(iterations)
        weights = tf.train.Checkpoint(ranker=self._ranker, optimizer=self._ranker.optimizer)
        for path in reversed(self._manager.checkpoints):
            stamp = stamps.get(Path(path).name, {})
            if stamp.get("health") != "healthy" or stamp["step"] >= before:
                continue
            try:
                weights.restore(path).expect_partial().assert_existing_objects_matched()
            except _DAMAGE_ERRORS:
                continue
            # The checkpoint may be from after the first bad step, but from before the check that found it.
            if not has_finite_state(self._ranker):
                continue
            # A rollback restores weights but not the step counter: the run continues with the next batch.
            iterations.assign(steps_taken)
            self._ranker.reset_metrics()
            return stamp["step"]
        return None

    def _make_manager(self) -> tf.train.CheckpointManager:
        # This class decides which checkpoints to remove. The manager would remove the oldest, which may be the only
        # healthy one.
        return tf.train.CheckpointManager(
            self._checkpoint, str(self._path), max_to_keep=None, step_counter=self._position
        )

    def _remove_old(self, stamps: dict[str, dict[str, Any]], step: int) -> set[str]:
        """Removes checkpoints that are no longer needed; returns the names of the remaining ones."""
        paths = self._manager.checkpoints
        out_of_range_since = self._monitor.out_of_range_since if self._monitor is not None else None
        safe_before = out_of_range_since or step - _MAX_DETECTION_DELAY
        healthy = [path for path in paths if stamps.get(Path(path).name, {}).get("health") == "healthy"]
        safe = [path for path in healthy if stamps[Path(path).name]["step"] < safe_before]
        # If no healthy checkpoint is old enough to be safe, keep the oldest healthy one.
        rollback_target = safe[-1:] or healthy[:1]
        remaining = [path for path in paths if path in paths[-self._keep :] + rollback_target]
        if len(remaining) < len(paths):
            self._write_index(remaining)
            for path in set(paths) - set(remaining):
                for file in self._path.glob(f"{Path(path).name}.*"):
                    file.unlink(missing_ok=True)
            self._manager = self._make_manager()
        return {Path(path).name for path in remaining}

    def _write_index(self, paths: list[str]) -> None:
        """Writes TensorFlow's list of checkpoints. TensorFlow has no public function that writes relative paths."""
        lines = [f'model_checkpoint_path: "{Path(paths[-1]).name}"']
        lines += [f'all_model_checkpoint_paths: "{Path(path).name}"' for path in paths]
        lines += [f"all_model_checkpoint_timestamps: {os.path.getmtime(f'{path}.index')}" for path in paths]
        write_text(self._path / "checkpoint", "\n".join([*lines, ""]))

    def _read_stamps(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._health_file.read_text(encoding="utf-8")) if self._health_file.exists() else {}

"""Checkpoints: weights, accumulators, metrics and the position in the data, each with its health."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ...foundation.atomic_files import write_json, write_text
from ...models.ranker import MultitaskRanker
from ..config.errors import UserError
from ..divergence import DivergenceMonitor

# So many steps may pass until a divergence is seen: a healthy checkpoint that is older is kept besides the newest ones.
_SEEN_WITHIN = 64
# A damaged file is told in many ways; IndexError is a file that is too short.
_DAMAGED = (tf.errors.OpError, AssertionError, IndexError, ValueError, RuntimeError)


class Checkpoints:
    """Saves and restores a run; the monitor's snapshots.

    Beside the checkpoints lies ``health.json``: for each its step, the verdict on the run until then, and how the training did
    just then (``healthy``, ``out_of_range`` or ``full``).

    Args:
      path: The folder.
      ranker: The compiled ranker.
      keep: How many of the newest are kept; besides them the newest healthy one that may be rolled back to.
    """

    def __init__(self, path: Path, ranker: MultitaskRanker, keep: int = 3):
        self._ranker = ranker
        self._position = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches_trained_on")
        self._checkpoint = tf.train.Checkpoint(ranker=ranker, optimizer=ranker.optimizer, position=self._position)
        self._path = path
        self._keep = keep
        self._manager = self._make_manager()
        self._monitor: DivergenceMonitor | None = None
        self._saved: int | None = None
        self._health_file = path / "health.json"

    def watch(self, monitor: DivergenceMonitor) -> None:
        """From now on the monitor's state is saved and restored as well, and its view of the run is the health."""
        self._monitor = monitor
        self._checkpoint.monitor = monitor.state

    def save(self, position: int) -> None:
        """Saves the run as it is after ``position`` batches; does nothing when that has been saved already."""
        if position == self._saved:
            return
        self._position.assign(position)
        saved = self._manager.save(checkpoint_number=position)
        self._saved = position
        monitor = self._monitor
        told = {} if monitor is None else {"verdict": monitor.verdict, "health": monitor.health}
        health = self._read_health() | {Path(saved).name: {"step": position} | told}
        kept = self._prune(health, position)
        write_json(self._health_file, {name: health[name] for name in health if name in kept})

    def resume(self, tell: Callable[[str], None]) -> int:
        """Restores the newest checkpoint that can be read and returns its position; 0 when there is none at all.

        Going on from an older one costs time and nothing else: the run ends the same.

        Args:
          tell: Is told, in a line, of each checkpoint that cannot be read.

        Raises:
          UserError: When there are checkpoints, but none can be read.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                # Who only looks at a run has no use for the monitor's state.
                self._checkpoint.restore(path).expect_partial().assert_existing_objects_matched()
            except _DAMAGED as error:
                tell(f"the checkpoint {path} cannot be read and is left out: {str(error).splitlines()[0]}")
                continue
            self._saved = int(self._position)
            return self._saved
        if self._manager.checkpoints:
            raise UserError(
                f"none of the checkpoints in {self._health_file.parent} can be read; start anew in another folder"
            )
        return 0

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Nothing: a run saves at its own times."""

    def restore(self, before: int) -> int | None:
        """Puts back weights and accumulators of the newest healthy checkpoint of a step below ``before``.

        Returns:
          Its step; None when there is none that can be read.
        """
        health = self._read_health()
        iterations = self._ranker.optimizer.iterations
        count = int(iterations)
        of_weights = tf.train.Checkpoint(ranker=self._ranker, optimizer=self._ranker.optimizer)
        for path in reversed(self._manager.checkpoints):
            stamp = health.get(Path(path).name, {})
            if stamp.get("health") != "healthy" or stamp["step"] >= before:
                continue
            try:
                of_weights.restore(path).expect_partial().assert_existing_objects_matched()
            except _DAMAGED:
                continue
            # Steps are counted on.
            iterations.assign(count)
            self._ranker.reset_metrics()
            return stamp["step"]
        return None

    def _make_manager(self) -> tf.train.CheckpointManager:
        # What is removed is decided here: the manager would take the oldest.
        return tf.train.CheckpointManager(
            self._checkpoint, str(self._path), max_to_keep=None, step_counter=self._position
        )

    def _prune(self, health: dict, position: int) -> set[str]:
        """Removes what need not be kept; returns the names of what is."""
        there = self._manager.checkpoints
        out_since = self._monitor.out_of_range_since if self._monitor is not None else None
        sure = out_since or position - _SEEN_WITHIN
        stamps = [(path, health.get(Path(path).name, {})) for path in there]
        healthy = [(path, stamp["step"]) for path, stamp in stamps if stamp.get("health") == "healthy"]
        # The newest that is sure; while none is, the oldest.
        back = [path for path, step in healthy if step < sure][-1:] or [path for path, _ in healthy[:1]]
        kept = [path for path in there if path in there[-self._keep :] + back]
        if len(kept) < len(there):
            # TensorFlow's own list; it has no public function that writes relative paths.
            lines = [f'model_checkpoint_path: "{Path(kept[-1]).name}"']
            lines += [f'all_model_checkpoint_paths: "{Path(path).name}"' for path in kept]
            lines += [f"all_model_checkpoint_timestamps: {os.path.getmtime(f'{path}.index')}" for path in kept]
            write_text(self._path / "checkpoint", "\n".join([*lines, ""]))
            for path in set(there) - set(kept):
                for file in self._path.glob(f"{Path(path).name}.*"):
                    file.unlink(missing_ok=True)
            self._manager = self._make_manager()
        return {Path(path).name for path in kept}

    def _read_health(self) -> dict:
        return json.loads(self._health_file.read_text(encoding="utf-8")) if self._health_file.exists() else {}

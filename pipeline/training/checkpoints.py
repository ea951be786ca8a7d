"""Checkpoints: weights, accumulators, metrics and the position in the data, each with its health."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ...models.ranker import MultitaskRanker
from ..config.errors import UserError
from ..divergence import DivergenceMonitor
from .files import write_json


class Checkpoints:
    """Saves and restores a run.

    Beside the checkpoints lies ``health.json``: for each its step and the verdict at that time.

    Args:
      path: The folder.
      ranker: The compiled ranker.
      monitor: The monitor, whose state is saved as well.
      keep: How many of the newest are kept.
    """

    def __init__(self, path: Path, ranker: MultitaskRanker, monitor: DivergenceMonitor | None = None, keep: int = 3):
        self._position = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches_trained_on")
        more = {} if monitor is None else {"monitor": monitor.state}
        checkpoint = tf.train.Checkpoint(ranker=ranker, optimizer=ranker.optimizer, position=self._position, **more)
        self._manager = tf.train.CheckpointManager(checkpoint, str(path), max_to_keep=keep, step_counter=self._position)
        self._checkpoint = checkpoint
        self._saved: int | None = None
        self._health_file = path / "health.json"

    def save(self, position: int, verdict: str) -> None:
        """Saves the run as it is after ``position`` batches; does nothing when that has been saved already."""
        if position == self._saved:
            return
        self._position.assign(position)
        saved = self._manager.save(checkpoint_number=position)
        self._saved = position
        health = self._read_health() | {Path(saved).name: {"step": position, "verdict": verdict}}
        kept = {Path(path).name for path in self._manager.checkpoints}
        write_json(self._health_file, {name: health[name] for name in health if name in kept})

    def restore(self, tell: Callable[[str], None]) -> int:
        """Restores the newest checkpoint that can be read and returns its position; 0 when there is none at all.

        Going on from an older one costs time and nothing else: the run ends the same.

        Args:
          tell: Is told, in a line, of each checkpoint that cannot be read.

        Raises:
          UserError: When there are checkpoints, but none can be read.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            # A damaged file is told in many ways; IndexError is a file that is too short.
            except (tf.errors.OpError, AssertionError, IndexError, ValueError, RuntimeError) as error:
                tell(f"the checkpoint {path} cannot be read and is left out: {str(error).splitlines()[0]}")
                continue
            self._saved = int(self._position)
            return self._saved
        if self._manager.checkpoints:
            raise UserError(
                f"none of the checkpoints in {self._health_file.parent} can be read; start anew in another folder"
            )
        return 0

    def _read_health(self) -> dict:
        return json.loads(self._health_file.read_text(encoding="utf-8")) if self._health_file.exists() else {}

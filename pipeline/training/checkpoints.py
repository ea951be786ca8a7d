"""Checkpoints: weights, accumulators, metrics and the position in the data, each with its health."""

from __future__ import annotations

import json
from pathlib import Path

import tensorflow as tf

from ...models.ranker import MultitaskRanker
from ..config.errors import UserError
from .files import write_json


class Checkpoints:
    """Saves and restores a run.

    Beside the checkpoints lies ``health.json``: for each its step and the verdict at that time.

    Args:
      path: The folder.
      ranker: The compiled ranker.
      keep: How many of the newest are kept.
    """

    def __init__(self, path: Path, ranker: MultitaskRanker, keep: int = 3):
        self._position = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches_trained_on")
        checkpoint = tf.train.Checkpoint(ranker=ranker, optimizer=ranker.optimizer, position=self._position)
        self._manager = tf.train.CheckpointManager(checkpoint, str(path), max_to_keep=keep, step_counter=self._position)
        self._checkpoint = checkpoint
        self._health_file = path / "health.json"

    def save(self, position: int, verdict: str) -> None:
        """Saves the run as it is after ``position`` batches; does nothing when that has been saved already."""
        self._position.assign(position)
        newest = self._manager.latest_checkpoint
        if newest and newest.endswith(f"-{position}"):
            return
        saved = self._manager.save(checkpoint_number=position)
        health = self._read_health() | {Path(saved).name: {"step": position, "verdict": verdict}}
        kept = {Path(path).name for path in self._manager.checkpoints}
        write_json(self._health_file, {name: health[name] for name in health if name in kept})

    def restore(self) -> int:
        """Restores the newest checkpoint and returns its position; 0, and nothing restored, when there is none.

        Raises:
          UserError: When the newest checkpoint cannot be read.
        """
        newest = self._manager.latest_checkpoint
        if not newest:
            return 0
        try:
            self._checkpoint.restore(newest).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError) as error:
            raise UserError(
                f"--resume: the checkpoint {newest} cannot be read ({str(error).splitlines()[0]}); remove its files and "
                "its line in the file 'checkpoint' beside it to go on from an older one"
            ) from error
        return int(self._position)

    def _read_health(self) -> dict:
        return json.loads(self._health_file.read_text(encoding="utf-8")) if self._health_file.exists() else {}

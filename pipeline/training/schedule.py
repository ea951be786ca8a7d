"""The order of the batches that a run trains on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..config.errors import UserError
from ..config.settings import Config
from ..data.batching import count_steps
from ..data.source import Source


class Segment(NamedTuple):
    """A part of training without interruption: one pass over one day, or the end of such a pass.

    Attributes:
      day: Position of the day in the log.
      pass_index: Which pass over the day, from 0.
      first_batch: The first batch to train on, from 0. Above 0 if training stopped in the middle of the day before.
      steps: Number of batches to train on.
    """

    day: int
    pass_index: int
    first_batch: int
    steps: int


class TrainingSchedule:
    """The order of days, passes and batches: a pure function of the configuration and the log.

    The run never trains on the last ``data.holdout_days`` days. It trains ``data.passes`` times on each other day
    before it moves to the next day.

    Args:
      config: The configuration.
      source: The log.

    Attributes:
      train_days: Positions of the days to train on.
      holdout_days: Positions of the days to evaluate the final model on.
    """

    def __init__(self, config: Config, source: Source):
        days = range(len(source.days))
        first_holdout_day = max(len(days) - config.data.holdout_days, 0)
        self.train_days, self.holdout_days = days[:first_holdout_day], days[first_holdout_day:]
        self._holdout_days = config.data.holdout_days
        self._names = ", ".join(source.days[day] for day in self.holdout_days[:3])
        self._segments: list[Segment] = []
        for day in self.train_days:
            steps = count_steps(sum(source.block_rows(day)), config.data.batch_size)
            self._segments += [Segment(day, pass_index, 0, steps) for pass_index in range(config.data.passes)]

    def check_train_days(self) -> None:
        """Checks that the log has a day to train on.

        Raises:
          UserError: If all days are held out.
        """
        if not self.train_days:
            raise UserError(
                f"data.holdout_days must be less than the log's number of days, {len(self.holdout_days)}, got "
                f"{self._holdout_days}, so no day is left to train on ({self._names}); add days, hold out fewer, or cut the "
                "rows of all folders into data.files.periods with --config.data.files.day_keys=none"
            )

    @property
    def total_steps(self) -> int:
        """Number of training steps of the whole run."""
        return sum(segment.steps for segment in self._segments)

    def remaining_segments(self, step: int) -> Iterator[Segment]:
        """Yields the segments that remain after ``step`` steps, in order."""
        segment_start = 0
        for segment in self._segments:
            first_batch = max(step - segment_start, 0)
            if first_batch < segment.steps:
                yield segment._replace(first_batch=first_batch, steps=segment.steps - first_batch)
            segment_start += segment.steps

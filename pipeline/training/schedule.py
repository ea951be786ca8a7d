"""Which batches a run trains on, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..config.errors import UserError
from ..config.settings import Config
from ..data.batching import count_steps
from ..data.source import Source


class Leg(NamedTuple):
    """An uninterrupted stretch of training: one pass over one day, or what is left of it.

    Attributes:
      day: Position of the day in the log.
      pass_index: Which pass over the day, from 0.
      first_batch: The first batch to train on, from 0; above 0 if an earlier process stopped in the middle of the day.
      steps: Number of batches to train on.
    """

    day: int
    pass_index: int
    first_batch: int
    steps: int


class TrainingSchedule:
    """The order of days, passes and batches: a pure function of the configuration and the log.

    The last ``data.holdout_days`` days are never trained on. Each other day is trained on ``data.passes`` times before the
    next one.

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
        self._legs: list[Leg] = []
        for day in self.train_days:
            steps = count_steps(sum(source.block_rows(day)), config.data.batch_size)
            self._legs += [Leg(day, pass_index, 0, steps) for pass_index in range(config.data.passes)]

    def check_train_days(self) -> None:
        """Checks that a day is left to train on.

        Raises:
          UserError: If all days are held out.
        """
        if not self.train_days:
            raise UserError(
                f"data.holdout_days must be less than {len(self.holdout_days)}, the number of days in the log, so that a day is "
                "left to train on"
            )

    @property
    def total_steps(self) -> int:
        """Number of training steps of the whole run."""
        return sum(leg.steps for leg in self._legs)

    def remaining_legs(self, step: int) -> Iterator[Leg]:
        """Yields what is left to train on after ``step`` steps, in order."""
        leg_start = 0
        for leg in self._legs:
            first_batch = max(step - leg_start, 0)
            if first_batch < leg.steps:
                yield leg._replace(first_batch=first_batch, steps=leg.steps - first_batch)
            leg_start += leg.steps

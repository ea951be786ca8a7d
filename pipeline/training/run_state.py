"""The position of a run."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class RunState:
    """The position of a run. The training loop and its callbacks share one object.

    The training loop and :class:`.publisher.Publisher` update it; everything else reads it.

    Attributes:
      step: Number of completed training steps, including those of earlier processes.
      total_steps: Number of training steps of the whole run; 0 if it is not known yet.
      day: Name of the current day; empty before the first one.
      day_start_step: The step at which the current pass over the day began.
      training_seconds: Seconds that this process spent on training steps and waiting for their input, without
        evaluation, publication and checkpoints.
      published_skipped_rows: Number of skipped rows that earlier publications included in ``skipped_examples``.

    Example:
    >>> state = RunState(step=40)
    >>> state.begin_day("day_003", first_batch=8)
    >>> state.day_start_step, state.is_mid_day
    (32, True)
    """

    step: int = 0
    total_steps: int = 0
    day: str = ""
    day_start_step: int = 0
    training_seconds: float = 0.0
    published_skipped_rows: int = 0

    def begin_day(self, name: str, first_batch: int) -> None:
        """Moves to a day, starting at batch ``first_batch``, counted from 0."""
        self.day = name
        self.day_start_step = self.step - first_batch

    @property
    def is_mid_day(self) -> bool:
        """Whether the run has trained on some batches of the day."""
        return self.step > self.day_start_step

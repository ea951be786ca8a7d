"""Where a run stands."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class RunState:
    """The position of a run. The training loop and its callbacks share one object.

    :class:`.publisher.Publisher` advances it; everything else reads it.

    Attributes:
      step: Number of training steps done, those of earlier processes included.
      day: Name of the day that is trained on; empty before the first.
      day_start_step: The step at which the current pass over that day began.
      training_seconds: Seconds that this process spent in training steps and in waiting for their input. Evaluation, publication
        and checkpoints are left out.
      published_skipped_rows: Number of the log's skipped rows that are part of earlier publications, ``skipped_examples``.

    Example:
    >>> state = RunState(step=40)
    >>> state.begin_day("day_003", first_batch=8)
    >>> state.day_start_step, state.is_mid_day
    (32, True)
    """

    step: int = 0
    day: str = ""
    day_start_step: int = 0
    training_seconds: float = 0.0
    published_skipped_rows: int = 0

    def begin_day(self, name: str, first_batch: int) -> None:
        """Moves to a day, whose training continues with batch ``first_batch``, counted from 0."""
        self.day = name
        self.day_start_step = self.step - first_batch

    @property
    def is_mid_day(self) -> bool:
        """Whether some batches of the day have been trained on."""
        return self.step > self.day_start_step

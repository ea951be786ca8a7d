"""The allowed number of rollbacks, and the learning rate after them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass
class RollbackBudget:
    """Counts rollbacks and computes the factor of the learning rate.

    Attributes:
      max_rollbacks: Largest number of rollbacks. Default 3.
      learning_rate_factor: Factor by which each rollback multiplies the learning rate. Default 0.5.
      warmup_steps: Steps over which the learning rate rises from near 0 to its new value after a rollback. Default 64.
      count: Number of rollbacks so far.
      last_step: The step of the last rollback.
      restored_step: The step of the weights that the last rollback restored.

    Raises:
      ValueError: If a value is out of its range; the message names it.

    Example:
    >>> budget = RollbackBudget(warmup_steps=4, count=1, last_step=100)
    >>> [budget.compute_factor(step) for step in (100, 101, 102, 103, 200)]
    [0.125, 0.25, 0.375, 0.5, 0.5]
    """

    max_rollbacks: int = 3
    learning_rate_factor: float = 0.5
    warmup_steps: int = 64
    count: int = 0
    last_step: int = 0
    restored_step: int = 0

    def __post_init__(self) -> None:
        for name in ("max_rollbacks", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 < self.learning_rate_factor <= 1:
            raise ValueError(f"learning_rate_factor must be above 0 and at most 1, got {self.learning_rate_factor}")

    @property
    def is_used_up(self) -> bool:
        """Whether no further rollback is allowed."""
        return self.count >= self.max_rollbacks

    @property
    def final_factor(self) -> float:
        """Factor of the learning rate after the warm-up."""
        return self.learning_rate_factor**self.count

    def compute_factor(self, step: int) -> float:
        """Computes the factor of the learning rate for the steps after ``step``."""
        if not self.count:
            return 1.0
        return self.final_factor * min(1.0, (step - self.last_step + 1) / max(self.warmup_steps, 1))

    def get_state(self) -> dict[str, int]:
        """Returns the counts, without the settings."""
        return {"count": self.count, "last_step": self.last_step, "restored_step": self.restored_step}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self.count, self.last_step, self.restored_step = state["count"], state["last_step"], state["restored_step"]

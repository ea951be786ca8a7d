"""Restores healthy weights and reduces the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..event import Event
from .budget import RollbackBudget
from .learning_rate import LearningRateScale
from .snapshots import MemorySnapshots, SnapshotStore

# A rollback within this many warm-ups after the previous one restores older weights.
_SOON_WARMUPS = 4


class Rollback:
    """Rolls a training back, as often as the budget allows.

    Args:
      budget: The allowed number of rollbacks, and the factor of the learning rate.
      snapshots: The store of healthy weights. If None, :meth:`attach` creates :class:`~.snapshots.MemorySnapshots`.
      check_steps: Steps between two checks of the monitor.
    """

    def __init__(self, budget: RollbackBudget, snapshots: SnapshotStore | None, check_steps: int):
        self.budget = budget
        self._snapshots = snapshots
        self._check_steps = check_steps
        self._scale: LearningRateScale | None = None

    def attach(self, model: Any, schedule_class: type, step: int) -> None:
        """Makes the learning rate of a model follow the budget, before training."""
        if self._scale is None:
            self._snapshots = self._snapshots or MemorySnapshots(model)
            self._scale = LearningRateScale(model, schedule_class)
        self._scale.attach()
        self.update_learning_rate(step)

    def detach(self) -> None:
        """Restores the model's learning rate schedule. A training step compiled before still follows the budget."""
        if self._scale is not None:
            self._scale.detach()

    def update_learning_rate(self, step: int) -> None:
        """Sets the learning rate for the steps after ``step``."""
        if self._scale is not None:
            self._scale.set_factor(self.budget.compute_factor(step))

    def save_snapshot(self, step: int, is_healthy: bool) -> None:
        """Saves a snapshot of the current state if one is due."""
        if self._snapshots is not None:
            self._snapshots.save_if_due(step, is_healthy)

    def roll_back(self, step: int, out_of_range_since: int | None) -> Event:
        """Restores healthy weights and reduces the learning rate.

        Args:
          step: The current step.
          out_of_range_since: The first step out of range. If None, all weights before ``step`` are healthy.

        Returns:
          The event: ``rollback``, or ``no_rollback`` if no rollback is possible.
        """
        budget, since = self.budget, out_of_range_since or step
        if budget.is_used_up:
            return Event(step, "no_rollback", "", f"all {budget.max_rollbacks} rollbacks are used up")
        restored_step = self._restore(step, since)
        if restored_step is None:
            return Event(step, "no_rollback", "", f"no healthy weights from before step {since:,} are available")
        budget.count, budget.last_step, budget.restored_step = budget.count + 1, step, restored_step
        self.update_learning_rate(step)
        evidence = (
            f"restored the weights of step {restored_step:,}; learning rate {budget.final_factor:g} times the original, "
            f"after {budget.warmup_steps} warm-up steps; rollback {budget.count} of {budget.max_rollbacks}"
        )
        values: Mapping[str, float] = {
            "restored_step": float(restored_step),
            "learning_rate_factor": budget.final_factor,
            "warmup_steps": float(budget.warmup_steps),
            "count": float(budget.count),
            "max_rollbacks": float(budget.max_rollbacks),
        }
        return Event(step, "rollback", "", evidence, values=values)

    def _restore(self, step: int, since: int) -> int | None:
        if self._snapshots is None:
            return None
        soon_steps = _SOON_WARMUPS * max(self.budget.warmup_steps, self._check_steps)
        if self.budget.count and step - self.budget.last_step < soon_steps:
            # The last rollback did not help, so try weights from before the ones that it restored.
            restored_step = self._snapshots.restore(min(since, self.budget.restored_step))
            if restored_step is not None:
                return restored_step
        return self._snapshots.restore(since)

"""Restores healthy weights and reduces the learning rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..event import Event
from ..problems import Problems
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
      problems: Records what a rollback cannot change.
    """

    def __init__(
        self,
        budget: RollbackBudget,
        snapshots: SnapshotStore | None,
        check_steps: int,
        problems: Problems | None = None,
    ):
        self.budget = budget
        self._given_snapshots = snapshots
        self._snapshots = snapshots
        self._check_steps = check_steps
        self._problems = Problems() if problems is None else problems
        self._scale: LearningRateScale | None = None
        self._restored_rates: list[list[float] | None] = []

    def attach(self, model: Any, schedule_class: type, step: int) -> None:
        """Makes the learning rates of a model follow the budget, before training."""
        if self._snapshots is None:
            self._snapshots = MemorySnapshots(model, problems=self._problems)
        if self._scale is None or not self._scale.fits(model):
            # Another call of `compile` has replaced the optimizers.
            self._scale = LearningRateScale(model, schedule_class, self._problems)
            self._scale.set_state(self._restored_rates)
            self._restored_rates = []
            if self._scale.has_wrapped_rates:
                model.train_function = None
        self._scale.attach()
        self.update_learning_rate(step)

    def detach(self) -> None:
        """Restores the model's learning rate schedules. A training step compiled before still follows the budget."""
        if self._scale is not None:
            self._scale.detach()

    def start_anew(self) -> None:
        """Forgets the previous model: its snapshots, its optimizers and its rollbacks."""
        self.budget = dataclasses.replace(self.budget, count=0, last_step=0, restored_step=0)
        self._snapshots, self._scale, self._restored_rates = self._given_snapshots, None, []

    def update_learning_rate(self, step: int) -> None:
        """Sets the learning rate for the steps after ``step``."""
        if self._scale is not None:
            self._scale.set_factor(self.budget.compute_factor(step), self.budget.final_factor)

    def get_state(self) -> dict[str, Any]:
        """Returns the counts and the learning rates as plain types."""
        rates = self._restored_rates if self._scale is None else self._scale.get_state()
        return self.budget.get_state() | ({"rates": rates} if any(rates) else {})

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self.budget.set_state(state)
        self._restored_rates = list(state.get("rates", []))
        if self._scale is not None:
            self._scale.set_state(self._restored_rates)

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to no model.
        state = self.get_state()
        detached = {"_scale": None, "_snapshots": self._given_snapshots, "_restored_rates": state.get("rates", [])}
        return self.__dict__ | detached

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
        rate = "the learning rate cannot be changed"
        if self._scale is not None and not self._scale.is_empty:
            warmup_steps = 0 if self._scale.has_no_warmup else budget.warmup_steps
            rate = f"learning rate {budget.final_factor:g} times the original, after {warmup_steps} warm-up steps"
        evidence = (
            f"restored the weights of step {restored_step:,}; {rate}; rollback {budget.count} of {budget.max_rollbacks}"
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

"""The detector's state of one task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .loss_history import LossHistory
from .loss_progress import LossProgress
from .task_range import TaskRange


@dataclasses.dataclass
class TaskState:
    """The state of one task.

    Attributes:
      range: Whether the task is in range.
      losses: The last windows of its loss.
      normalized_losses: The last windows of its loss divided by the loss of the best constant prediction.
      best_auc: The best AUC of a publication so far, minus its noise.
      progress: The course of its normalized loss since the first step.
      spike_windows: Number of consecutive windows with a spike.
    """

    range: TaskRange
    losses: LossHistory = dataclasses.field(default_factory=LossHistory)
    normalized_losses: LossHistory = dataclasses.field(default_factory=LossHistory)
    best_auc: float = 0.5
    progress: LossProgress = dataclasses.field(default_factory=LossProgress)
    spike_windows: int = 0

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return dataclasses.asdict(self) | {
            "losses": self.losses.get_state(),
            "normalized_losses": self.normalized_losses.get_state(),
            "progress": self.progress.get_state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TaskState:
        """Does the inverse of :meth:`get_state`."""
        restored = {
            "range": TaskRange(**state["range"]),
            "losses": LossHistory.from_state(state["losses"]),
            "normalized_losses": LossHistory.from_state(state["normalized_losses"]),
            "progress": LossProgress.from_state(state["progress"]),
        }
        return cls(**{**state, **restored})

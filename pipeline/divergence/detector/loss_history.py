"""The usual loss of a task, learned from its last windows."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..signal_statistics import SignalStatistics

MIN_WINDOWS = 4
"""Number of windows that the usual loss requires."""

_MAX_WINDOWS = 24


class UsualLoss(NamedTuple):
    """The usual loss of single steps.

    Attributes:
      mean: Median of the windows' means.
      deviation: Median of the windows' standard deviations.
      reach: Usual distance between the largest loss of a window and the window's mean.
    """

    mean: float
    deviation: float
    reach: float


class _Window(NamedTuple):
    mean: float
    deviation: float
    maximum: float


@dataclasses.dataclass
class LossHistory:
    """The last windows of one loss.

    Attributes:
      windows: Mean, standard deviation and maximum of each window, the newest last.
      start: The mean of the first window; 0 before it.
      largest: The largest absolute mean of all windows so far.
    """

    windows: list[_Window] = dataclasses.field(default_factory=list)
    start: float = 0.0
    largest: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.windows)

    def append(self, loss: SignalStatistics) -> None:
        """Adds a window, unless it has no finite value."""
        if loss.finite_count:
            self.start = self.start if self.windows else loss.mean
            self.largest = max(self.largest, abs(loss.mean))
            self.windows = [*self.windows, _Window(loss.mean, loss.deviation, loss.maximum)][-_MAX_WINDOWS:]

    @property
    def usual(self) -> UsualLoss | None:
        """The usual loss; None with too few windows."""
        if len(self.windows) < MIN_WINDOWS:
            return None
        reaches = sorted(window.maximum - window.mean for window in self.windows)
        return UsualLoss(
            mean=statistics.median(window.mean for window in self.windows),
            deviation=statistics.median(window.deviation for window in self.windows),
            # Not the maximum, because an earlier spike would hide the next one.
            reach=reaches[int(0.8 * (len(reaches) - 1))],
        )

    def compute_spike_threshold(self, deviations: float, reaches: float = 2) -> float:
        """Computes the value above which a single step is a spike; infinite with too few windows.

        Args:
          deviations: Deviations of single steps above the usual mean.
          reaches: Multiples of the usual reach above the usual mean. The larger of the two distances counts.
        """
        usual = self.usual
        return math.inf if usual is None else usual.mean + max(deviations * usual.deviation, reaches * usual.reach)

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return {"windows": [list(window) for window in self.windows], "start": self.start, "largest": self.largest}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LossHistory:
        """Does the inverse of :meth:`get_state`."""
        return cls([_Window(*window) for window in state["windows"]], state["start"], state["largest"])

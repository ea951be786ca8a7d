"""Tracks whether the loss of a task falls.

A model often starts far above the loss of a constant prediction: with rare positives, with labels far from 0, or with
large first predictions. While its loss falls, this is a slow start and no divergence.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..signal_statistics import SignalStatistics

_SMOOTHED_WINDOWS = 4
"""Number of windows whose mean is compared with earlier ones."""
_TREND_WINDOWS = 24
"""Number of windows that a slow trend is computed from."""
# A fall below this share of the earlier loss is no progress, even without any noise.
_SMALLEST_FALL = 1e-5
# A trend is clear if its standard deviation is below this share of the loss.
_CLEAR_SHARE = 0.005
# In the first window, a loss that grows beyond this multiple of its minimum starts at the minimum.
_GROWTH_AT_START = 2.0


Trend = Literal["falling", "flat", "unclear"]


class Mean(NamedTuple):
    """The mean of a loss over some steps, and the variance of this mean."""

    value: float
    variance: float

    @classmethod
    def of(cls, signal: SignalStatistics) -> Mean:
        """Returns the mean over a window with a finite value."""
        return cls(signal.mean, signal.deviation * signal.deviation / signal.finite_count)


@dataclasses.dataclass
class FallTracker:
    """Finds out whether one series of losses falls.

    Attributes:
      stalled_steps: Number of steps since the loss last fell clearly.
      means: The last windows.
      anchor: The loss when it last fell clearly, as a mean over up to four windows; None before the first window.
    """

    stalled_steps: int = 0
    means: list[Mean] = dataclasses.field(default_factory=list)
    anchor: Mean | None = None

    @property
    def smoothed(self) -> Mean:
        """The mean over the last windows."""
        recent = self.means[-_SMOOTHED_WINDOWS:]
        count = len(recent)
        return Mean(sum(mean.value for mean in recent) / count, sum(mean.variance for mean in recent) / count**2)

    def append(self, mean: Mean, steps: int) -> None:
        """Adds a window of ``steps`` steps."""
        self.means = [*self.means, mean][-_TREND_WINDOWS:]
        smoothed, anchor = self.smoothed, self.anchor
        if anchor is not None:
            noise = 2 * math.sqrt(smoothed.variance + anchor.variance)
            if smoothed.value >= anchor.value - max(noise, _SMALLEST_FALL * abs(anchor.value)):
                self.stalled_steps += steps
                return
        self.anchor, self.stalled_steps = smoothed, 0

    def find_trend(self) -> Trend:
        """Compares the first half of the windows with the second half."""
        half = len(self.means) // 2
        if half < 2:
            return "unclear"
        older, newer = _average(self.means[:half]), _average(self.means[-half:])
        noise = math.sqrt(older.variance + newer.variance)
        if older.value - newer.value > max(noise, _SMALLEST_FALL * abs(older.value)):
            return "falling"
        is_clear = noise <= _CLEAR_SHARE * abs(older.value) or len(self.means) == _TREND_WINDOWS
        return "flat" if is_clear else "unclear"


@dataclasses.dataclass
class LossProgress:
    """The course of a task's loss since the first step: its level, and whether it still falls.

    A loss falls if one of three series falls: the loss, the normalized loss, and the distance of the calibration from 1.

    Attributes:
      start: The normalized loss at the start.
      level: The lowest normalized loss so far, as a mean over up to four windows.
      last: The normalized loss of the last window.
      growth: The loss of the last window, divided by the lowest loss so far.
    """

    start: float = math.nan
    level: float = math.inf
    last: float = math.nan
    growth: float = math.nan
    _lowest_loss: float = math.inf
    _loss: FallTracker = dataclasses.field(default_factory=FallTracker)
    _normalized_loss: FallTracker = dataclasses.field(default_factory=FallTracker)
    _miscalibration: FallTracker = dataclasses.field(default_factory=FallTracker)

    def update(
        self,
        loss: SignalStatistics,
        normalized_loss: SignalStatistics,
        constant: SignalStatistics | None = None,
        calibration: SignalStatistics | None = None,
    ) -> None:
        """Adds a window.

        Args:
          loss: The loss of the predictions.
          normalized_loss: The normalized loss.
          constant: The loss of a constant prediction. If it is known, the window's normalized loss is the ratio of the
            means. The mean of the ratios of single batches varies more, because a batch without a positive has a very
            small constant loss.
          calibration: The mean prediction divided by the mean label. It shows slow progress towards labels far from 0
            more clearly than the loss, whose noise comes from the labels.
        """
        if not (normalized_loss.finite_count and loss.finite_count):
            return
        ratio = Mean.of(normalized_loss) if constant is None else _divide(Mean.of(loss), Mean.of(constant))
        self.last = ratio.value
        self._loss.append(Mean.of(loss), loss.finite_count)
        self._normalized_loss.append(ratio, loss.finite_count)
        if calibration is not None and calibration.finite_count:
            distance = Mean.of(calibration)._replace(value=abs(calibration.mean - 1.0))
            self._miscalibration.append(distance, calibration.finite_count)
        if math.isnan(self.start):
            self.start = normalized_loss.minimum if _grows(loss) else ratio.value
            self._lowest_loss = loss.minimum if _grows(loss) else loss.mean
        self._lowest_loss = min(self._lowest_loss, self._loss.smoothed.value)
        self.growth = float(loss.mean) / float(self._lowest_loss) if self._lowest_loss else math.inf
        self.level = min(self.level, self.start, self._normalized_loss.smoothed.value)

    @property
    def stalled_steps(self) -> int:
        """Number of steps since one of the series last fell."""
        return min((tracker.stalled_steps for tracker in self._list_trackers()), default=0)

    @property
    def is_at_start(self) -> bool:
        """Whether the normalized loss is still within a tenth of its start."""
        return bool(self._loss.means) and abs(self._normalized_loss.smoothed.value - self.start) <= 0.1 * self.start

    def restart_patience(self) -> None:
        """Counts the stalled steps from now on."""
        for tracker in self._list_trackers():
            tracker.stalled_steps = 0

    def count_stalled_steps(self, patience: int, is_out: bool) -> int:
        """Returns by how many steps the loss has stalled longer than the patience.

        Args:
          patience: Number of steps. A loss that has halved since the start has four times the patience.
          is_out: Whether the task is out of range already. If not, a slow fall that the noise of the windows may hide
            counts as a fall.
        """
        steps = self.stalled_steps - (4 * patience if self.level <= 0.5 * self.start else patience)
        trends = [tracker.find_trend() for tracker in self._list_trackers()]
        may_fall = "falling" in trends or "flat" not in trends
        return 0 if steps <= 0 or (may_fall and not is_out) else steps

    def _list_trackers(self) -> list[FallTracker]:
        """Lists the series with a window."""
        return [tracker for tracker in (self._loss, self._normalized_loss, self._miscalibration) if tracker.means]

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        levels = (self.start, self.level, self.last, self.growth, self._lowest_loss)
        return {
            "levels": [level if math.isfinite(level) else None for level in levels],
            "trackers": [_to_plain(each) for each in (self._loss, self._normalized_loss, self._miscalibration)],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LossProgress:
        """Does the inverse of :meth:`get_state`."""
        missing = (math.nan, math.inf, math.nan, math.nan, math.inf)
        levels = [other if level is None else level for level, other in zip(state["levels"], missing, strict=True)]
        start, level, last, growth, lowest_loss = levels
        loss, normalized_loss, miscalibration = map(_from_plain, state["trackers"])
        return cls(start, level, last, growth, lowest_loss, loss, normalized_loss, miscalibration)


def _grows(loss: SignalStatistics) -> bool:
    """Returns whether a loss grows within a window."""
    is_ordered = 0 < loss.minimum_step < loss.maximum_step
    return is_ordered and loss.mean > _GROWTH_AT_START * loss.minimum


def _divide(numerator: Mean, denominator: Mean) -> Mean:
    if not (numerator.value and denominator.value):
        return Mean(0.0, 0.0)
    ratio = numerator.value / denominator.value
    # Products, because a power of a large float raises an OverflowError.
    errors = [math.sqrt(mean.variance) / mean.value for mean in (numerator, denominator)]
    return Mean(ratio, ratio * ratio * sum(error * error for error in errors))


def _average(means: Sequence[Mean]) -> Mean:
    """Averages windows. The variance comes from the differences between the windows."""
    count = len(means)
    value = sum(mean.value for mean in means) / count
    return Mean(value, sum((mean.value - value) * (mean.value - value) for mean in means) / (count - 1) / count)


def _to_plain(tracker: FallTracker) -> list[Any]:
    anchor = None if tracker.anchor is None else list(tracker.anchor)
    return [tracker.stalled_steps, [list(mean) for mean in tracker.means], anchor]


def _from_plain(plain: Sequence[Any]) -> FallTracker:
    stalled_steps, means, anchor = plain
    return FallTracker(stalled_steps, [Mean(*mean) for mean in means], None if anchor is None else Mean(*anchor))

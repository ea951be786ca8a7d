"""Statistics of the signals of training steps, over windows of steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ...foundation.moments import merge_moments


@dataclasses.dataclass(frozen=True)
class SignalStatistics:
    """Statistics of one signal over a window of steps. Steps are counted from 1 within the window.

    Attributes:
      minimum, maximum: Extremes of the finite values; NaN without finite values.
      minimum_step, maximum_step: The first step of each extreme; 0 without finite values.
      mean, deviation: Mean and standard deviation of the finite values; NaN without finite values.
      finite_count: Number of steps with a finite value.
      nonfinite_count: Number of steps with a value that is not finite.
      first_nonfinite_step: The first step with a value that is not finite; 0 if all values are finite.
      run_length: Number of consecutive steps above the signal's limit at the end of the window. They may begin before
        it.
      longest_run: The largest number of consecutive steps above the limit that overlap the window.
    """

    minimum: float
    maximum: float
    minimum_step: int
    maximum_step: int
    mean: float
    deviation: float
    finite_count: int
    nonfinite_count: int
    first_nonfinite_step: int
    run_length: int
    longest_run: int

    def merge(self, following: SignalStatistics, steps: int) -> SignalStatistics:
        """Merges this window with the following one.

        Args:
          following: The statistics of the following window.
          steps: Number of steps in this window.
        """
        later = following.delay(steps)
        if not self.finite_count or not later.finite_count:
            nonempty = self if self.finite_count else later
            lowest = highest = nonempty
            mean, deviation = nonempty.mean, nonempty.deviation
        else:
            lowest = later if later.minimum < self.minimum else self
            highest = later if later.maximum > self.maximum else self
            mean, deviation = _merge_means(self, later)
        return SignalStatistics(
            minimum=lowest.minimum,
            maximum=highest.maximum,
            minimum_step=lowest.minimum_step,
            maximum_step=highest.maximum_step,
            mean=mean,
            deviation=deviation,
            finite_count=self.finite_count + later.finite_count,
            nonfinite_count=self.nonfinite_count + later.nonfinite_count,
            first_nonfinite_step=self.first_nonfinite_step or later.first_nonfinite_step,
            run_length=later.run_length,
            longest_run=max(self.longest_run, later.longest_run),
        )

    def delay(self, steps: int) -> SignalStatistics:
        """Returns the same statistics for a window that begins ``steps`` earlier."""
        names = ("minimum_step", "maximum_step", "first_nonfinite_step")
        return dataclasses.replace(self, **{name: step + steps for name in names if (step := getattr(self, name))})


def _merge_means(first: SignalStatistics, second: SignalStatistics) -> tuple[float, float]:
    """Computes the mean and standard deviation of two windows together."""
    count, mean, squares = merge_moments(
        first.finite_count,
        first.mean,
        first.deviation * first.deviation * first.finite_count,
        second.finite_count,
        second.mean,
        second.deviation * second.deviation * second.finite_count,
    )
    return float(mean), math.sqrt(squares / count)


@dataclasses.dataclass
class WindowStatistics:
    """Statistics of all signals over a window of steps.

    Attributes:
      steps: Number of steps in the window.
      signals: The statistics by signal name.
    """

    steps: int = 0
    signals: dict[str, SignalStatistics] = dataclasses.field(default_factory=dict)

    def append(self, following: WindowStatistics) -> None:
        """Extends the window by the following one."""
        for name, signal in following.signals.items():
            if name in self.signals:
                self.signals[name] = self.signals[name].merge(signal, self.steps)
            else:
                self.signals[name] = signal.delay(self.steps)
        self.steps += following.steps

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> WindowStatistics:
        """Does the inverse of :meth:`to_dict`."""
        return cls(plain["steps"], {name: SignalStatistics(**signal) for name, signal in plain["signals"].items()})

"""What is known of a signal over some steps; pure numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class SignalStatistics:
    """A signal over a window of steps. Places count the steps of the window from 1.

    Attributes:
      minimum, maximum: Over the finite values; NaN when there was none.
      at_minimum, at_maximum: Their places, the first ones if there are several; 0 when there was none.
      mean, deviation: Of the finite values; NaN when there was none.
      finite: Steps with a finite value.
      nonfinite: Steps with another one.
      first_nonfinite: The place of the first of those; 0 when there was none.
      run: Steps in a row, up to now, above the limit; it may have begun before the window.
      longest_run: The longest such run that this window saw.
    """

    minimum: float
    maximum: float
    at_minimum: int
    at_maximum: int
    mean: float
    deviation: float
    finite: int
    nonfinite: int
    first_nonfinite: int
    run: int
    longest_run: int

    def followed_by(self, other: SignalStatistics, steps: int) -> SignalStatistics:
        """This window and the next one as one.

        Args:
          other: The next.
          steps: Steps of this one.
        """
        count = self.finite + other.finite
        later = other.shifted(steps)
        if not other.finite or not self.finite:
            kept = self if self.finite else later
            mean, deviation = kept.mean, kept.deviation
        else:
            kept = None
            share = other.finite / count
            mean = self.mean + share * (other.mean - self.mean)
            between = (self.mean - other.mean) ** 2 * share * (1 - share)
            deviation = math.sqrt((1 - share) * self.deviation**2 + share * other.deviation**2 + between)
        low = kept or (later if later.minimum < self.minimum else self)
        high = kept or (later if later.maximum > self.maximum else self)
        return SignalStatistics(
            minimum=low.minimum,
            maximum=high.maximum,
            at_minimum=low.at_minimum,
            at_maximum=high.at_maximum,
            mean=mean,
            deviation=deviation,
            finite=count,
            nonfinite=self.nonfinite + other.nonfinite,
            first_nonfinite=self.first_nonfinite or later.first_nonfinite,
            run=other.run,
            longest_run=max(self.longest_run, other.longest_run),
        )

    def shifted(self, steps: int) -> SignalStatistics:
        """The same, with places counted from so many steps earlier."""
        places = {
            name: place + steps
            for name in ("at_minimum", "at_maximum", "first_nonfinite")
            if (place := getattr(self, name))
        }
        return dataclasses.replace(self, **places)


@dataclasses.dataclass
class WindowStatistics:
    """Signals over some steps.

    Attributes:
      steps: How many.
      signals: By signal.
    """

    steps: int = 0
    signals: dict[str, SignalStatistics] = dataclasses.field(default_factory=dict)

    def add(self, steps: int, signals: Mapping[str, SignalStatistics]) -> None:
        """Takes the steps that came next."""
        for name, reading in signals.items():
            if name in self.signals:
                self.signals[name] = self.signals[name].followed_by(reading, self.steps)
            else:
                self.signals[name] = reading.shifted(self.steps)
        self.steps += steps

    def to_dict(self) -> dict[str, Any]:
        """In plain types."""
        return {
            "steps": self.steps,
            "signals": {name: dataclasses.asdict(reading) for name, reading in self.signals.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> WindowStatistics:
        """The inverse of :meth:`to_dict`."""
        return cls(plain["steps"], {name: SignalStatistics(**reading) for name, reading in plain["signals"].items()})

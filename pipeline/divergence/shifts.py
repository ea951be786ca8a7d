"""Which features left their usual range; pure, as the detector is, which asks here.

What is usual is learned from the windows themselves: for each signal of :mod:`.features` the mean over windows, how far windows
differ, and how far single steps do. A feature has left its range when it is both far from the usual in these units and by enough
to matter: a large part of what it varies by within one batch. One that stays away is usual after a while.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ...foundation.signed_log import inverse_signed_log
from .signal_statistics import SignalStatistics

# Windows before anything is judged, those that are remembered, and those after which what was new is usual.
_ENOUGH, _MEMORY, _NEW = 8, 32, 8
# Deviations that are far.
_FAR = 8.0
# Parts of a batch's own spread that matter: of a whole window's mean, and of a single step's.
_OF_WINDOWS, _OF_STEPS = 0.25, 0.5
# In the unit of the signals: less is rounding.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Shift:
    """A feature that left its usual range.

    Attributes:
      feature: Its name.
      step: The step, or the first of the window where it is not one step alone.
      size: How far it went, in units of what is allowed: above 1.
      evidence: What was measured, in words.
    """

    feature: str
    step: int
    size: float
    evidence: str


@dataclasses.dataclass
class _Usual:
    """What a signal usually is: exponential moments over windows."""

    windows: int = 0
    mean: float = 0.0
    variance: float = 0.0
    noise: float = 0.0

    def add(self, reading: SignalStatistics) -> None:
        share = max(1.0 / (self.windows + 1), 1.0 / _MEMORY)
        apart = reading.mean - self.mean
        self.mean += share * apart
        self.variance = (1.0 - share) * (self.variance + share * apart**2)
        self.noise += share * (reading.deviation**2 - self.noise)
        self.windows += 1


@dataclasses.dataclass
class _Away:
    """A feature that is out of its range: for how many windows, and for how many it has been back."""

    windows: int = 0
    back: int = 0


class Shifts:
    """Learns what features usually look like, and tells which one changed."""

    def __init__(self) -> None:
        self._usual: dict[str, _Usual] = {}
        self._away: dict[str, _Away] = {}

    def judge(self, before: int, signals: Mapping[str, SignalStatistics]) -> list[Shift]:
        """Takes one window; returns the features that left their range in it, the furthest first.

        Args:
          before: Training steps before the window.
          signals: By signal; only those of features are looked at.
        """
        found: dict[str, Shift] = {}
        for name in list(signals):
            kind, _, feature = name.partition("/")
            if kind != "feature" or not signals[name].finite:
                continue
            names = {kind: f"{kind}/{feature}" for kind in ("feature", "spread", "missing")}
            shifts = [
                shift
                for kind, signal in names.items()
                if signal in signals and (shift := self._take(kind, feature, before, signals[signal], names))
            ]
            away = self._away.get(feature)
            if shifts:
                if away is None:
                    found[feature] = max(shifts, key=lambda shift: shift.size)
                    away = self._away[feature] = _Away()
                away.windows, away.back = away.windows + 1, 0
                if away.windows >= _NEW:
                    # It stays as it is now: learn that.
                    for signal in names.values():
                        self._usual.pop(signal, None)
                    del self._away[feature]
            elif away is not None:
                away.back += 1
                if away.back >= _NEW // 2:
                    del self._away[feature]
        return sorted(found.values(), key=lambda shift: -shift.size)

    def get_state(self) -> dict[str, Any]:
        """All that it knows, in plain types."""
        return {
            "usual": {name: dataclasses.astuple(usual) for name, usual in self._usual.items()},
            "away": {name: dataclasses.astuple(away) for name, away in self._away.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`get_state`."""
        self._usual = {name: _Usual(*values) for name, values in state["usual"].items()}
        self._away = {name: _Away(*values) for name, values in state["away"].items()}

    def _take(
        self, kind: str, feature: str, before: int, reading: SignalStatistics, signals: Mapping[str, str]
    ) -> Shift | None:
        """Judges one signal of a feature, then learns from it."""
        usual = self._usual.setdefault(signals[kind], _Usual())
        spread = self._usual.setdefault(signals["spread"], _Usual())
        matters = {
            "feature": math.sqrt(spread.mean**2 + usual.variance),
            "spread": usual.mean,
            # Where nothing was ever missing, a single value is news.
            "missing": 1.0 if usual.mean > 0 else 0.0,
        }[kind]
        least = 0.0 if kind == "missing" and not matters else _ROUNDING
        over_steps = max(_FAR * math.sqrt(usual.variance + usual.noise), _OF_STEPS * matters, least)
        error = usual.noise / max(reading.finite, 1)
        over_windows = max(_FAR * math.sqrt(usual.variance + error), _OF_WINDOWS * matters, least)
        shift = None
        if usual.windows >= _ENOUGH:
            up, down = reading.maximum - usual.mean, usual.mean - reading.minimum
            value, place = (reading.maximum, reading.at_maximum) if up > down else (reading.minimum, reading.at_minimum)
            others = (
                (reading.mean * reading.finite - value) / (reading.finite - 1) if reading.finite > 1 else usual.mean
            )
            apart, is_number = abs(others - usual.mean), signals["missing"] in self._usual
            if apart > over_windows:
                evidence = _words(kind, reading.mean, usual.mean, is_number)
                shift = Shift(feature, before + 1, apart / max(over_windows, _ROUNDING), evidence)
            elif max(up, down) > over_steps:
                evidence = _words(kind, value, usual.mean, is_number) + ", in a single step"
                shift = Shift(feature, before + place, max(up, down) / max(over_steps, _ROUNDING), evidence)
        # One extreme window would make the next one look usual.
        if shift is None:
            usual.add(reading)
        return shift


def _words(kind: str, now: float, usual: float, is_number: bool) -> str:
    if kind == "missing":
        return f"{now:.2%} of its values are not finite, usually {usual:.2%}"
    if kind == "spread":
        if usual <= _ROUNDING:
            return "its values differ, they were all the same before"
        return f"its values vary {now / usual:.3g} times as much as usual"
    if is_number:
        return f"its typical value is {inverse_signed_log(now):.4g}, usually {inverse_signed_log(usual):.4g}"
    return "other ids than usual came, or one of them much more often"

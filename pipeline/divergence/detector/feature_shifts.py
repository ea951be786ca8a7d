"""Detects input features that leave their usual range.

The detector learns the usual range from the windows. For each signal of a feature (see
:mod:`...probes.input_features`), it tracks the mean over windows, the variance between windows, and the noise of single
steps. A feature has shifted if its distance from the usual value is large in these units, and also large compared with
its spread within a batch. If a feature stays shifted, the detector learns its range anew.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from ....foundation.formatting import format_percent
from ....foundation.metric_key import MetricKey
from ....foundation.signed_log import inverse_signed_log
from ..event import Evidence, format_number
from ..signal_statistics import SignalStatistics

SignalKind = Literal["feature", "spread", "missing"]

_MIN_WINDOWS = 8
"""Number of windows before the detector judges a feature."""
_MEMORY_WINDOWS = 32
"""Number of windows that the usual range averages."""
_NEW_USUAL_WINDOWS = 8
"""Number of windows after which the detector learns the range of a shifted feature anew."""
_FAR_DEVIATIONS = 8.0
# Smallest relevant shift in multiples of the spread within a batch: for the mean of a window, and for a single step.
_RELEVANT_WINDOW_SHARE, _RELEVANT_STEP_SHARE = 0.25, 0.5
# Smaller differences of a signal are rounding errors.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Shift:
    """A feature that left its usual range.

    Attributes:
      feature: The feature's name.
      step: The shifted step, or the first step of the window if the whole window shifted.
      size: The distance of the shift, in multiples of the allowed distance; above 1.
      evidence: The measurement.
    """

    feature: str
    step: int
    size: float
    evidence: Evidence


@dataclasses.dataclass
class _UsualRange:
    """Exponentially weighted moments of a signal over windows.

    Attributes:
      windows: Number of windows.
      mean: Mean of the windows' means.
      variance: Variance of the windows' means.
      noise: Mean variance of single steps within a window.
    """

    windows: int = 0
    mean: float = 0.0
    variance: float = 0.0
    noise: float = 0.0

    def update(self, signal: SignalStatistics) -> None:
        weight = max(1.0 / (self.windows + 1), 1.0 / _MEMORY_WINDOWS)
        difference = signal.mean - self.mean
        self.mean += weight * difference
        self.variance = (1.0 - weight) * (self.variance + weight * difference**2)
        self.noise += weight * (signal.deviation**2 - self.noise)
        self.windows += 1


@dataclasses.dataclass
class _ShiftedFeature:
    """A feature that is out of its usual range.

    Attributes:
      windows: Number of windows out of range since the shift.
      windows_back: Number of consecutive windows back in range.
    """

    windows: int = 0
    windows_back: int = 0


class FeatureShiftDetector:
    """Learns the usual range of each feature and detects shifts."""

    def __init__(self) -> None:
        self._usual: dict[str, _UsualRange] = {}
        self._shifted: dict[str, _ShiftedFeature] = {}

    def observe_window(self, before: int, signals: Mapping[str, SignalStatistics]) -> list[Shift]:
        """Judges one window, and learns from it.

        Args:
          before: Number of training steps before the window.
          signals: The window's signals. Signals of other kinds are ignored.

        Returns:
          The features that left their usual range in this window, with the largest shift first.
        """
        shifts: list[Shift] = []
        for name, signal in signals.items():
            kind, feature = MetricKey.parse(name)
            if kind == "feature" and signal.finite_count:
                shift = self._judge_feature(feature, before, signals)
                shifts += [] if shift is None else [shift]
        return sorted(shifts, key=lambda shift: -shift.size)

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return {
            "usual": {name: dataclasses.astuple(usual) for name, usual in self._usual.items()},
            "shifted": {name: dataclasses.astuple(shifted) for name, shifted in self._shifted.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self._usual = {name: _UsualRange(*values) for name, values in state["usual"].items()}
        self._shifted = {name: _ShiftedFeature(*values) for name, values in state["shifted"].items()}

    def _judge_feature(self, feature: str, before: int, signals: Mapping[str, SignalStatistics]) -> Shift | None:
        """Returns the shift of a feature if it leaves its usual range in this window."""
        kinds: tuple[SignalKind, ...] = ("feature", "spread", "missing")
        names = {kind: f"{kind}/{feature}" for kind in kinds}
        shifts = [
            shift
            for kind, name in names.items()
            if name in signals and (shift := self._judge_signal(kind, feature, before, signals[name]))
        ]
        shifted = self._shifted.get(feature)
        if not shifts:
            if shifted is not None:
                shifted.windows_back += 1
                if shifted.windows_back >= _NEW_USUAL_WINDOWS // 2:
                    del self._shifted[feature]
            return None
        is_new = shifted is None
        shifted = self._shifted.setdefault(feature, _ShiftedFeature())
        shifted.windows, shifted.windows_back = shifted.windows + 1, 0
        if shifted.windows >= _NEW_USUAL_WINDOWS:
            # The shift is permanent: learn the range anew.
            for name in names.values():
                self._usual.pop(name, None)
            del self._shifted[feature]
        return max(shifts, key=lambda shift: shift.size) if is_new else None

    def _judge_signal(self, kind: SignalKind, feature: str, before: int, signal: SignalStatistics) -> Shift | None:
        """Judges one signal of a feature, then learns from it."""
        usual = self._usual.setdefault(f"{kind}/{feature}", _UsualRange())
        spread = self._usual.setdefault(f"spread/{feature}", _UsualRange())
        relevant = {
            "feature": math.sqrt(spread.mean**2 + usual.variance),
            "spread": usual.mean,
            # If no value was missing before, the first missing value is relevant.
            "missing": 1.0 if usual.mean > 0 else 0.0,
        }[kind]
        shift = None
        if usual.windows >= _MIN_WINDOWS:
            is_number = f"missing/{feature}" in self._usual
            shift = _find_shift(kind, feature, before, signal, usual, relevant, is_number)
        # Learning from a shifted window would make the next one look usual.
        if shift is None:
            usual.update(signal)
        return shift


def _find_shift(
    kind: SignalKind,
    feature: str,
    before: int,
    signal: SignalStatistics,
    usual: _UsualRange,
    relevant: float,
    is_number: bool,
) -> Shift | None:
    """Compares a signal with its usual range: first the whole window, then the most extreme step."""
    least = 0.0 if kind == "missing" and not relevant else _ROUNDING
    error = usual.noise / max(signal.finite_count, 1)
    window_limit = max(_FAR_DEVIATIONS * math.sqrt(usual.variance + error), _RELEVANT_WINDOW_SHARE * relevant, least)
    step_limit = max(_FAR_DEVIATIONS * math.sqrt(usual.variance + usual.noise), _RELEVANT_STEP_SHARE * relevant, least)
    up, down = signal.maximum - usual.mean, usual.mean - signal.minimum
    if up > down:
        extreme, extreme_step = signal.maximum, signal.maximum_step
    else:
        extreme, extreme_step = signal.minimum, signal.minimum_step
    # Leave out the most extreme step, so that a single step does not look like a shifted window.
    count = signal.finite_count
    others_mean = (signal.mean * count - extreme) / (count - 1) if count > 1 else usual.mean
    distance = abs(others_mean - usual.mean)
    if distance > window_limit:
        evidence = _describe(kind, signal.mean, usual.mean, is_number)
        return Shift(feature, before + 1, distance / max(window_limit, _ROUNDING), evidence)
    if max(up, down) > step_limit:
        evidence = _describe(kind, extreme, usual.mean, is_number)
        evidence = evidence._replace(text=f"{evidence.text}, in a single step")
        return Shift(feature, before + extreme_step, max(up, down) / max(step_limit, _ROUNDING), evidence)
    return None


def _describe(kind: SignalKind, value: float, usual: float, is_number: bool) -> Evidence:
    if kind == "missing":
        text = f"{format_percent(value)} of the values are not finite (usual {format_percent(usual)})"
        return Evidence.of(text, value=value, usual=usual)
    if kind == "spread":
        if usual <= _ROUNDING:
            return Evidence.of(
                "the values differ within a batch; before, they were all the same", value=value, usual=usual
            )
        text = f"the spread of the values is {format_number(value / usual)} times the usual spread"
        return Evidence.of(text, value=value, usual=usual)
    if not is_number:
        return Evidence.of("unusual ids, or one id far more often than usual", value=value, usual=usual)
    value, usual = inverse_signed_log(value), inverse_signed_log(usual)
    return Evidence.of(f"typical value {format_number(value)} (usual {format_number(usual)})", value=value, usual=usual)

"""Metrics over the training step, from the lines that a run publishes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ....foundation.metric_key import MetricKey
from .numbers import is_finite, is_number, to_float

# A single step's loss is a peak if it exceeds the mean of its publication this many times.
_PEAK_RATIO = 3.0


@dataclasses.dataclass(frozen=True)
class Series:
    """The values of one metric, in the order written. A resumed run may repeat steps.

    Attributes:
      steps: Training steps, all finite, shape ``(N,)``.
      values: One value for each step, shape ``(N,)``; any of them may be NaN or infinite.
    """

    steps: np.ndarray
    values: np.ndarray

    @property
    def finite_mask(self) -> np.ndarray:
        """True where the value is finite, shape ``(N,)``."""
        return np.isfinite(self.values)


EMPTY = Series(np.empty(0), np.empty(0))
"""The series of a metric that the run did not record."""


def read_series(lines: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """Collects every metric of some lines.

    Args:
      lines: Lines of ``metrics/train.jsonl`` or ``metrics/eval.jsonl``. Lines without a finite ``step``, and values
        that are not numbers, are skipped.

    Returns:
      The series by metric key, in the order in which the keys first appear.

    Example:
    >>> read_series([{"step": 32, "loss": 0.7}, {"step": 64, "loss": 0.6}])["loss"].values
    array([0.7, 0.6])
    """
    points: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        step = line.get("step")
        if not is_finite(step):
            continue
        for key, value in line.items():
            # Check for the most common type first, because this is much faster.
            if type(value) is float or is_number(value):
                steps, values = points.setdefault(key, ([], []))
                steps.append(step)
                values.append(to_float(value))
    return {key: Series(np.array(steps, np.float64), np.array(values)) for key, (steps, values) in points.items()}


def select_kind(metrics: Mapping[str, Series], kind: str) -> dict[str, Series]:
    """Returns the metrics of one kind by their subject, such as ``clipping_factor`` by layer."""
    keys = {key: MetricKey.parse(key) for key in metrics}
    return {parsed.subject: metrics[key] for key, parsed in keys.items() if parsed.kind == kind and parsed.subject}


def to_percent(shares: Series) -> Series:
    """Converts shares to percent."""
    return Series(shares.steps, 100 * shares.values)


def find_peaks(lines: Iterable[Mapping[str, Any]], key: str) -> Series:
    """Finds losses of single steps that are far above the mean of their publication.

    Args:
      lines: Lines of metrics with ``loss_max`` and, where the run recorded it, ``loss_max_step``.
      key: ``loss`` or ``loss/<task>``.

    Returns:
      At most one peak per line, at its step.
    """
    kind, subject = MetricKey.parse(key)
    maximum_key, maximum_step_key = str(MetricKey(f"{kind}_max", subject)), str(MetricKey(f"{kind}_max_step", subject))
    steps, values = [], []
    for line in lines:
        step, mean, maximum = line.get("step"), line.get(key), line.get(maximum_key)
        if not is_finite(step) or not is_finite(maximum) or (is_finite(mean) and maximum <= _PEAK_RATIO * mean):
            continue
        peak_step = line.get(maximum_step_key)
        steps.append(to_float(peak_step) if is_finite(peak_step) and 0 <= peak_step <= step else to_float(step))
        values.append(to_float(maximum))
    return Series(np.array(steps, np.float64), np.array(values, np.float64))

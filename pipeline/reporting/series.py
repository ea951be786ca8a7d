"""From metric lines to the points that a figure draws: pure functions on arrays.

What a reader must not miss survives every reduction: the extremes of a curve, its ends, and where it was not finite.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np

POINTS = 600
"""Points of a thinned curve: more than one for each pixel of a phone, few enough for a page below 1.5 MB."""

# How many times the mean of a publication a single step's loss is far above it.
_FAR = 3.0


@dataclasses.dataclass(frozen=True)
class Series:
    """Values of one metric in the order in which they were written; a run that rolled back repeats steps.

    Attributes:
      steps: Training steps, finite, shape ``(N,)``.
      values: One for each step, shape ``(N,)``; any may be NaN or infinite.
    """

    steps: np.ndarray
    values: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """Which values are numbers, shape ``(N,)``."""
        return np.isfinite(self.values)


EMPTY = Series(np.empty(0), np.empty(0))
"""A metric that nobody recorded."""


def read(lines: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """Every metric by its key, in the order of first appearance; lines without a finite ``step`` are passed over."""
    points: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        step = line.get("step")
        if not is_finite(step):
            continue
        for key, value in line.items():
            if type(value) is float or is_number(value):
                steps, values = points.setdefault(key, ([], []))
                steps.append(step)
                values.append(number(value))
    return {key: Series(np.array(steps, np.float64), np.array(values)) for key, (steps, values) in points.items()}


def peaks(lines: Iterable[Mapping[str, Any]], key: str) -> Series:
    """The largest losses of single steps that stand far above the mean of their line, at their own steps.

    Args:
      lines: Lines of metrics with ``loss_max`` and, where it is known, ``loss_max_step``.
      key: ``loss`` or ``loss/<task>``.
    """
    kind, slash, task = key.partition("/")
    steps, values = [], []
    for line in lines:
        step, mean, largest = line.get("step"), line.get(key), line.get(f"{kind}_max{slash}{task}")
        if not is_finite(step) or not is_finite(largest) or (is_finite(mean) and largest <= _FAR * mean):
            continue
        at = line.get(f"{kind}_max_step{slash}{task}")
        steps.append(number(at) if is_finite(at) and 0 <= at <= step else number(step))
        values.append(number(largest))
    return Series(np.array(steps, np.float64), np.array(values, np.float64))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a number, NaN and infinity included, and not a truth value."""
    return isinstance(value, (float, int, np.number)) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a number that is neither NaN nor infinite."""
    return is_number(value) and math.isfinite(number(value))


def number(value: Any) -> float:
    """``value`` as a float; an integer too large for one becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def thin(series: Series, limit: int = POINTS) -> Series:
    """At most ``limit`` of the points, so chosen that the curve looks the same.

    The first and the last point stay. Of each run of neighbours between them the smallest value, the largest and one
    that is not finite stay, so that neither a spike nor a NaN is lost.

    Args:
      series: The curve.
      limit: Most points kept; 5 or more.
    """
    count = len(series.steps)
    if count <= limit:
        return series
    kept = {0, count - 1}
    for bucket in np.array_split(np.arange(count), (limit - 2) // 3):
        values = series.values[bucket]
        finite = np.isfinite(values)
        if finite.any():
            kept.add(bucket[np.argmin(np.where(finite, values, np.inf))])
            kept.add(bucket[np.argmax(np.where(finite, values, -np.inf))])
        if not finite.all():
            kept.add(bucket[np.argmin(finite)])
    order = np.array(sorted(kept))
    return Series(series.steps[order], series.values[order])


def pieces(series: Series) -> list[Series]:
    """The stretches of finite values that a line may join: it breaks where a value is not finite and where steps go back."""
    finite = np.flatnonzero(series.finite)
    if not finite.size:
        return []
    apart = (np.diff(finite) > 1) | (np.diff(series.steps[finite]) < 0)
    return [Series(series.steps[part], series.values[part]) for part in np.split(finite, np.flatnonzero(apart) + 1)]


def mean_by_step(series: Series) -> Series:
    """One point a step, in order: the mean of the step's finite values. Steps without one are left out."""
    steps, values = series.steps[series.finite], series.values[series.finite]
    unique, place = np.unique(steps, return_inverse=True)
    counts = np.maximum(np.bincount(place, minlength=len(unique)), 1)
    # Dividing before the sum keeps the mean of huge values finite.
    return Series(unique, np.bincount(place, weights=values / counts[place], minlength=len(unique)))


def lowest_in_slices(series: Series, extent: float, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the steps from 0 to ``extent`` into equal slices and says what happened in each.

    A value stands for all steps since the line before it, as the metrics kept between two publications do; so the slices
    have no holes where lines are further apart than slices.

    Returns:
      The smallest finite value that touches each slice, NaN where there is none, and whether one touched it that is not
      finite; both of shape ``(slices,)``.
    """
    steps, values = series.steps, series.values
    before = np.concatenate([[0.0], steps[:-1]]) if steps.size else steps
    start = np.where(before < steps, before, steps)
    # Multiplied first: whole numbers that divide evenly then meet the slices' edges exactly.
    first = np.clip((start * slices / extent).astype(int), 0, slices - 1)
    last = np.clip(np.ceil(steps * slices / extent).astype(int) - 1, first, slices - 1)
    lowest = np.full(slices, np.nan)
    broken = np.zeros(slices, bool)
    finite = series.finite
    # A line seldom touches more than two slices: its first and its last go at once, what lies between one by one.
    for place in (first, last):
        np.fmin.at(lowest, place[finite], values[finite])
        broken[place[~finite]] = True
    for line in np.flatnonzero(last - first > 1):
        between = slice(first[line], last[line])
        if finite[line]:
            lowest[between] = np.fmin(lowest[between], values[line])
        else:
            broken[between] = True
    return lowest, broken

"""Finds numbers that lie so far from the others that a few of them would spoil a feature's mean and deviation.

A feature's limits come from a sample of its values: the quantiles of 0.1 % and 99.9 %, widened on both sides by 100
times the distance between them. Long tails stay inside: a log-normal feature whose logarithm has the deviation 3 has its
largest value of 16,384 rows at about 15 times that distance.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from ...foundation.formatting import pluralize
from ...foundation.moments import Moments
from ...models.schema import Feature, Schema
from .columns import Columns

_TAIL, _TAIL_VALUES, _MIN_VALUES, _WIDENING = 0.001, 5, 1000, 100.0
_SAMPLED_ROWS = 1 << 14

Limits = tuple[float, float]


def find_unbounded_features(schema: Schema) -> list[Feature]:
    """Returns the features whose scale extremes can spoil: linear ones without a minimum and a maximum."""
    return [
        feature
        for feature in schema.features
        if feature.kind == "numerical"
        and feature.normalization == "standard"
        and (feature.minimum is None or feature.maximum is None)
    ]


class ValueRange:
    """The smallest and the largest value of a feature, and an evenly spaced sample of its rows, in bounded memory.

    Args:
      feature: A numerical feature.

    Example:
    >>> value_range = ValueRange(Feature("x", "numerical"))
    >>> value_range.add(np.linspace(-1, 1, 6000))
    >>> value_range.find_limits()
    >>> value_range.add(np.array([1e12]))
    >>> [round(limit) for limit in value_range.find_limits()]
    [-201, 201]
    """

    def __init__(self, feature: Feature):
        self._feature = feature
        self._low, self._high = np.inf, -np.inf
        self._rows, self._stride = 0, 1
        self._sample = np.zeros((0, feature.width), np.float32)

    def add(self, column: np.ndarray) -> None:
        """Adds the values of some rows."""
        values = column.reshape(-1, self._feature.width)
        finite = values[np.isfinite(values)]
        if finite.size:
            self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
        sampled = values[-self._rows % self._stride :: self._stride].astype(np.float32)
        self._sample = np.concatenate([self._sample, sampled])
        self._rows += len(values)
        while len(self._sample) > _SAMPLED_ROWS:
            # The first sampled row is row 0, so every second one is a multiple of the doubled stride.
            self._sample, self._stride = self._sample[::2], 2 * self._stride

    def find_limits(self) -> Limits | None:
        """Returns the limits if values lie outside; None if none do, or if the values have no scale to judge by.

        All components of a vector have the same limits, which are wide enough for each of them.
        """
        limits = [_widen(values[np.isfinite(values)].astype(np.float64)) for values in self._sample.T]
        if any(limit is None for limit in limits):
            return None
        feature, largest = self._feature, float(np.finfo(np.float32).max)
        default = [] if feature.default is None else [feature.default]
        low = max(min([limit[0] for limit in limits if limit] + default), -largest)
        high = min(max([limit[1] for limit in limits if limit] + default), largest)
        low = float(np.float32(low)) if feature.minimum is None else feature.minimum
        high = float(np.float32(high)) if feature.maximum is None else feature.maximum
        return (low, high) if low < high and (self._low < low or self._high > high) else None


def _widen(values: np.ndarray) -> Limits | None:
    if len(values) < _MIN_VALUES:
        return None
    # A quantile of the extremes themselves would hide them.
    tail = max(_TAIL, _TAIL_VALUES / len(values))
    low, high = np.quantile(values, [tail, 1 - tail])
    distance = high - low
    return (low - _WIDENING * distance, high + _WIDENING * distance) if distance > 0 else None


@dataclasses.dataclass(frozen=True)
class Extremes:
    """What lies outside the limits.

    Attributes:
      moments: The moments of the values inside, by feature.
      remarks: A sentence on each feature.
    """

    moments: Mapping[str, Moments]
    remarks: tuple[str, ...]


def leave_out(blocks: Iterable[tuple[str, Columns]], schema: Schema, limits: Mapping[str, Limits]) -> Extremes:
    """Computes the moments of some features without the values outside their limits.

    Args:
      blocks: Blocks of rows with the name of their day.
      schema: The schema.
      limits: The smallest and the largest value to count, by feature.
    """
    features = [feature for feature in schema.features if feature.name in limits]
    moments = {feature.name: Moments(feature.width) for feature in features}
    rows: dict[str, Counter[str]] = {feature.name: Counter() for feature in features}
    largest = dict.fromkeys(moments, 0.0)
    for day, block in blocks:
        for feature in features:
            values = block[feature.name].astype(np.float64).reshape(-1, feature.width)
            low, high = limits[feature.name]
            outside = np.isfinite(values) & ((values < low) | (values > high))
            moments[feature.name].add(np.where(outside, np.nan, values))
            if outside.any():
                rows[feature.name][day] += int(outside.any(axis=1).sum())
                largest[feature.name] = max([largest[feature.name], *values[outside].tolist()], key=abs)
    return Extremes(moments, tuple(_format(f, rows[f.name], largest[f.name], limits[f.name]) for f in features))


def _format(feature: Feature, rows: Counter[str], largest: float, limits: Limits) -> str:
    days = ", ".join(f"{day}: {count:,}" for day, count in rows.most_common(3) if day)
    more = f" and {pluralize(len(rows) - 3, 'more day')}" if len(rows) > 3 else ""
    place = f" ({days}{more})" if days else ""
    return (
        f"{feature.name}: column '{feature.log_column}' has values far from all others in {pluralize(rows.total(), 'row')}"
        f"{place}, such as {largest:g}. Mean and deviation leave them out, and the ranker clips the feature to "
        f"{limits[0]:g} … {limits[1]:g}. Correct the log, or set minimum and maximum in the schema"
    )

"""Computes the means, standard deviations and vocabularies that a ranker needs before it trains, in one pass.

Memory stays bounded for any log. Numbers need only sums. Each vocabulary needs a table of counts, which drops its
rarest values when it grows far beyond the vocabulary's size. The result depends only on the log and the schema, so
every process computes the same result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...foundation.moments import Moments
from ...foundation.signed_log import signed_log
from ...models.schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema
from ...models.statistics import Statistics
from . import statistics_cache
from .columns import Columns
from .extremes import Limits, ValueRange, find_unbounded_features, leave_out
from .source import Source

# The capacity of a table of counts, per entry of the vocabulary, and its minimum. A full table drops its rarest values.
_COUNTED_PER_ENTRY, _MIN_COUNTED = 16, 1 << 16
# A deviation below this share of the mean is rounding noise.
_CONSTANT_SHARE = 1e-6


@dataclasses.dataclass(frozen=True)
class LogStatistics:
    """The statistics of a log.

    Attributes:
      schema: The source's schema, with the vocabularies filled in, and with bounds for features with extremes.
      statistics: Mean and standard deviation of each numerical feature, and the weighted mean of each label.
      remarks: What is unusual in the rows, one sentence each.
    """

    schema: Schema
    statistics: Statistics
    remarks: tuple[str, ...] = ()


def compute_statistics(
    source: Source,
    rows: int,
    days: Sequence[int] = (0,),
    report_progress: Callable[[int, int], None] | None = None,
) -> LogStatistics:
    """Computes the statistics of a log's first rows.

    Values that are not finite are ignored. A feature that is constant in these rows gets the standard deviation 1, so
    that it passes unscaled if it varies later. A feature without any finite value also gets the mean 0. Values far from
    all others are left out, and the schema gets bounds to which the ranker clips them; see :mod:`.extremes`. A vocabulary
    lists the most frequent values first, and sorts equally frequent values. Without any value for a vocabulary, all
    values of the feature share one row of its table (``hash_buckets: 1``), and ``remarks`` names the feature. Statistics of all rows of a log of files
    are cached in the user's cache folder. The key contains the names, sizes and modification times of the files.

    Args:
      source: The log.
      rows: Number of rows to read; 0 for all. A schema with a ``vocabulary_size`` needs all rows.
      days: Positions of the days to read. Omit the days that the run evaluates on.
      report_progress: Called repeatedly with the number of rows read and the number of all rows to read.

    Returns:
      The statistics and the completed schema.
    """
    schema = source.schema
    needs_vocabulary = any(feature.vocabulary_size for feature in schema.features if feature.kind != "numerical")
    total = sum(sum(source.block_rows(day)) for day in days)
    rows = total if needs_vocabulary or not rows else min(rows, total)
    path = statistics_cache.find_path(source, days) if rows == total else None
    if path is not None and (cached := statistics_cache.read(path)) is not None:
        return _complete(source, days, cached)
    totals = _Totals(schema)
    for _, block in _read_blocks(source, rows, days, report_progress):
        totals.add(block)
    remarks: tuple[str, ...] = ()
    if limits := totals.find_limits():
        # A second pass, because the limits are known only after the first.
        extremes = leave_out(_read_blocks(source, rows, days), schema, limits)
        totals.replace_moments(extremes.moments)
        remarks = extremes.remarks
    entry = statistics_cache.Entry(totals.statistics(), totals.vocabularies(), limits, remarks)
    if path is not None:
        statistics_cache.write(path, entry)
    return _complete(source, days, entry)


def _read_blocks(
    source: Source, rows: int, days: Sequence[int], report_progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[str, Columns]]:
    """Yields the name of the day and the columns of each block, up to a number of rows."""
    rows_read = 0
    for day in days:
        for index, block_rows in enumerate(source.block_rows(day)):
            if rows_read >= rows:
                return
            block = source.block(day, index)
            yield source.days[day], {name: column[: rows - rows_read] for name, column in block.items()}
            rows_read += min(block_rows, rows - rows_read)
            if report_progress is not None:
                report_progress(rows_read, rows)


def _complete(source: Source, days: Sequence[int], entry: statistics_cache.Entry) -> LogStatistics:
    """Returns the statistics, the schema with its vocabularies and bounds, and all remarks."""
    names = [source.days[day] for day in days if source.days[day]]
    place = f" ({names[0]} to {names[-1]})" if names else ""
    remarks = tuple(
        f"{feature.name}: column '{feature.log_column}' has no value for a vocabulary on the training days{place}; all its "
        "values share one embedding"
        for feature in source.schema.features
        if feature.vocabulary_size and not entry.vocabularies[feature.table_name]
    )
    schema = _set_bounds(_fill_vocabularies(source.schema, entry.vocabularies), entry.limits)
    return LogStatistics(schema, entry.statistics, entry.remarks + remarks)


def _set_bounds(schema: Schema, limits: Mapping[str, Limits]) -> Schema:
    features = (
        dataclasses.replace(feature, minimum=limits[feature.name][0], maximum=limits[feature.name][1])
        if feature.name in limits
        else feature
        for feature in schema.features
    )
    return dataclasses.replace(schema, features=tuple(features))


class _Totals:
    """The sums and counts over the blocks."""

    def __init__(self, schema: Schema):
        self._schema = schema
        self._moments = {
            feature.name: Moments(feature.width)
            for feature in schema.features
            if feature.kind == "numerical" and feature.normalization != "none"
        }
        self._counts = {f.table_name: _ValueCounts(f.vocabulary_size) for f in schema.features if f.vocabulary_size}
        self._labels = {task.name: Moments(1) for task in schema.tasks if not task.example_weight}
        # For a weighted task, the sum of weight * label and the sum of the weights.
        self._weighted_labels = {task.name: np.zeros(2) for task in schema.tasks if task.example_weight}
        self._ranges = {feature.name: ValueRange(feature) for feature in find_unbounded_features(schema)}

    def add(self, block: Columns) -> None:
        for feature in self._schema.features:
            if feature.name in self._ranges:
                self._ranges[feature.name].add(block[feature.name])
            if feature.name in self._moments:
                values = block[feature.name].astype(np.float64).reshape(-1, feature.width)
                values = np.where(np.isfinite(values), values, np.nan)
                self._moments[feature.name].add(signed_log(values) if feature.normalization == "log" else values)
            elif feature.vocabulary_size:
                self._counts[feature.table_name].add(block[feature.name])
        for task in self._schema.tasks:
            label = block[task.label_column].astype(np.float64)
            if not task.example_weight:
                self._labels[task.name].add(label[:, np.newaxis])
                continue
            weight = block[task.example_weight].astype(np.float64)
            counted = np.isfinite(label) & (weight > 0)
            self._weighted_labels[task.name] += [weight[counted] @ label[counted], weight[counted].sum()]

    def find_limits(self) -> dict[str, Limits]:
        """Returns the limits of the features that have values outside."""
        limits = {name: value_range.find_limits() for name, value_range in self._ranges.items()}
        return {name: limit for name, limit in limits.items() if limit}

    def replace_moments(self, moments: Mapping[str, Moments]) -> None:
        self._moments.update(moments)

    def statistics(self) -> Statistics:
        return Statistics(
            {name: moments.mean.astype(np.float32) for name, moments in self._moments.items()},
            {name: _scaling_deviation(moments) for name, moments in self._moments.items()},
            {name: float(moments.mean[0]) for name, moments in self._labels.items() if moments.count[0]}
            | {name: float(total / weight) for name, (total, weight) in self._weighted_labels.items() if weight},
        )

    def vocabularies(self) -> dict[str, list[Any]]:
        return {table: counts.most_frequent() for table, counts in self._counts.items()}


def _scaling_deviation(moments: Moments) -> np.ndarray:
    """Returns the standard deviation to divide by: 1 for a column that is constant up to rounding."""
    deviation = moments.deviation()
    constant = deviation <= _CONSTANT_SHARE * np.maximum(np.abs(moments.mean), 1e-6)
    return np.where(constant, 1.0, deviation).astype(np.float32)


class _ValueCounts:
    """The number of occurrences of each value. When there are too many values, the rarest are dropped."""

    def __init__(self, size: int):
        self._size = size
        self._capacity = max(_COUNTED_PER_ENTRY * size, _MIN_COUNTED)
        self._counts: dict[Any, int] = {}

    def add(self, values: np.ndarray) -> None:
        distinct, counts = np.unique(values, return_counts=True)
        for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > self._capacity:
            self._counts = dict(self._sorted()[: self._capacity // 2])

    def most_frequent(self) -> list[Any]:
        missing = (MISSING_INTEGER, MISSING_STRING)
        values = [value for value, _ in self._sorted() if value not in missing][: self._size]
        return [entry for entry in map(_to_entry, values) if entry is not None]

    def _sorted(self) -> list[tuple[Any, int]]:
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))


def _to_entry(value: Any) -> Any:
    """Converts a value to an entry of a vocabulary, or returns None for bytes that are not UTF-8.

    The ranker maps such bytes to the row for unknown values.
    """
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _fill_vocabularies(schema: Schema, vocabularies: Mapping[str, Sequence[Any]]) -> Schema:
    return dataclasses.replace(
        schema,
        features=tuple(
            _fill_vocabulary(feature, tuple(vocabularies[feature.table_name])) if feature.vocabulary_size else feature
            for feature in schema.features
        ),
    )


def _fill_vocabulary(feature: Feature, vocabulary: tuple[Any, ...]) -> Feature:
    if not vocabulary:
        # A schema has no empty vocabulary. With one bucket, all values share a row, like unknown ones.
        return dataclasses.replace(feature, vocabulary_size=0, hash_buckets=1)
    return dataclasses.replace(feature, vocabulary=vocabulary, vocabulary_size=0)

"""The statistics of each column of a day: small enough to store for every day, and sufficient to compare days."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....foundation.signed_log import signed_log
from ....models.schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema
from ..columns import DictionaryColumn, EncodedColumns

_MAX_TOP_VALUES = 1024


@dataclasses.dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of one column on one day.

    Attributes:
      rows: Number of rows in the sample.
      missing: Share of rows without a value.
      mean: Mean of a number or label; NaN for ids and for a column without a finite value.
      deviation: Standard deviation; NaN in the same cases.
      is_log_scale: Whether mean and deviation are those of signed logarithms, as for a feature with ``normalization:
        log``.
      distinct: Number of different ids; 0 for numbers.
      top: The most frequent ids in descending order, each with its share of all values.
      unknown: Share of values outside the feature's vocabulary or id range; None if the feature has neither.
    """

    rows: int
    missing: float
    mean: float = float("nan")
    deviation: float = float("nan")
    is_log_scale: bool = False
    distinct: int = 0
    top: Mapping[Any, float] = dataclasses.field(default_factory=dict)
    unknown: float | None = None

    def to_dict(self) -> dict[str, float]:
        """Converts the statistics that a report shows to plain types. Omits unknown statistics.

        Example:
        >>> ColumnStatistics(rows=100, missing=0.25, mean=1.0, deviation=2.0).to_dict()
        {'missing': 0.25, 'mean': 1.0, 'deviation': 2.0}
        """
        if self.distinct:
            values = {"missing": self.missing, "distinct": self.distinct}
            return values if self.unknown is None else values | {"unknown": self.unknown}
        numbers = {"mean": self.mean, "deviation": self.deviation}
        return {"missing": self.missing} | {name: value for name, value in numbers.items() if np.isfinite(value)}


def compute_column_statistics(blocks: Sequence[EncodedColumns], schema: Schema) -> dict[str, ColumnStatistics]:
    """Computes the statistics of each feature and label.

    Args:
      blocks: Rows of a day.
      schema: Names the features and labels.

    Returns:
      Statistics by the feature's name or the label's column; by the task's name for a label that is derived from a
      column.
    """
    statistics = {}
    for feature in schema.features:
        columns = [block[feature.name] for block in blocks]
        compute = _compute_number_statistics if feature.kind == "numerical" else _compute_id_statistics
        statistics[feature.name] = compute(columns, feature)
    for task in schema.tasks:
        columns = [block[task.label_column] for block in blocks]
        statistics[task.name if task.has_derived_label else task.label] = _compute_number_statistics(columns, None)
    return statistics


def _compute_number_statistics(columns: Sequence[Any], feature: Feature | None) -> ColumnStatistics:
    values = np.concatenate(
        [column.astype(np.float64).reshape(len(column), math.prod(column.shape[1:])) for column in columns]
    )
    is_log_scale = feature is not None and feature.normalization == "log"
    missing = float(np.isnan(values).any(axis=1).mean() if len(values) else 1.0)
    finite = values[np.isfinite(values)]
    finite = signed_log(finite) if is_log_scale else finite
    if not len(finite):
        return ColumnStatistics(len(values), missing, is_log_scale=is_log_scale)
    return ColumnStatistics(len(values), missing, float(finite.mean()), float(finite.std()), is_log_scale)


def _compute_id_statistics(columns: Sequence[Any], feature: Feature) -> ColumnStatistics:
    counts: Counter[Any] = Counter()
    missing, rows = 0, 0
    missing_value = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
    for column in columns:
        if isinstance(column, DictionaryColumn):
            values, value_counts = column.values, np.bincount(column.indices.reshape(-1), minlength=len(column.values))
            is_missing = column.values[column.indices] == missing_value
        else:
            values, value_counts = np.unique(column, return_counts=True)
            is_missing = column == missing_value
        rows += len(is_missing)
        missing += int((is_missing.all(axis=1) if is_missing.ndim == 2 else is_missing).sum())
        for value, count in zip(values.tolist(), value_counts.tolist(), strict=True):
            if count and value != missing_value:
                counts[value] += count
    total = max(counts.total(), 1)
    # Ties are ordered by value, so that the order is the same in every process.
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MAX_TOP_VALUES]
    return ColumnStatistics(
        rows,
        missing / max(rows, 1),
        distinct=max(len(counts), 1),
        top={value: count / total for value, count in top},
        unknown=_unknown_share(counts, feature, total),
    )


def _unknown_share(counts: Counter[Any], feature: Feature, total: int) -> float | None:
    if feature.num_ids:
        return sum(count for value, count in counts.items() if not 0 <= value < feature.num_ids) / total
    if feature.vocabulary:
        known = {word.encode() if isinstance(word, str) else word for word in feature.vocabulary}
        return sum(count for value, count in counts.items() if value not in known) / total
    return None

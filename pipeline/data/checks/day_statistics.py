"""What the rows of a day look like, column by column: little enough to be kept for every day, and enough to tell days apart."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....foundation.signed_log import signed_log
from ....models.schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema
from ..source import Coded, CodedColumns, rows_of

# The values of ids that are remembered with their shares: the most frequent ones.
_REMEMBERED = 1024
# Odd numbers whose bits look random, to mix those of a row.
_MIX, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclasses.dataclass(frozen=True)
class ColumnStatistics:
    """One column of one day.

    Attributes:
      rows: Rows that were looked at.
      missing: Share of them without a value.
      mean: Of numbers and labels, NaN where there is none; of the signed logarithms of a feature that is normalised by them.
      deviation: Likewise.
      logs: Whether these two are of logarithms.
      distinct: How many values ids take.
      top: The most frequent ids, the first first, each with its share of all values.
      unknown: Share of the values that are not in the feature's vocabulary or range of ids; None where it has neither.
    """

    rows: int
    missing: float
    mean: float = float("nan")
    deviation: float = float("nan")
    logs: bool = False
    distinct: int = 0
    top: Mapping[Any, float] = dataclasses.field(default_factory=dict)
    unknown: float | None = None

    def plain(self) -> dict[str, float]:
        """What is shown of it, in plain types."""
        if self.distinct:
            told = {"missing": self.missing, "distinct": self.distinct}
            return told if self.unknown is None else told | {"unknown": self.unknown}
        numbers = {"mean": self.mean, "deviation": self.deviation}
        return {"missing": self.missing} | {name: value for name, value in numbers.items() if np.isfinite(value)}


def statistics_of(blocks: Sequence[CodedColumns], schema: Schema) -> dict[str, ColumnStatistics]:
    """The statistics of each feature, and of each label under its own name, or its task's where it is made of a column."""
    found = {}
    for feature in schema.features:
        columns = [block[feature.name] for block in blocks]
        found[feature.name] = _numbers(columns, feature) if feature.kind == "numerical" else _ids(columns, feature)
    for task in schema.tasks:
        found[task.name if task.is_made else task.label] = _numbers(
            [block[task.label_column] for block in blocks], None
        )
    return found


def repeated_share(blocks: Sequence[CodedColumns]) -> float:
    """The share of rows that equal one before in every column."""
    rows = np.concatenate([row_hashes(block) for block in blocks])
    return 1 - len(np.unique(rows)) / max(len(rows), 1)


def _numbers(columns: Sequence[Any], feature: Feature | None) -> ColumnStatistics:
    values = np.concatenate([column.astype(np.float64).reshape(len(column), -1) for column in columns])
    logs = feature is not None and feature.normalization == "log"
    missing = np.isnan(values).any(axis=1).mean() if len(values) else 1.0
    there = values[np.isfinite(values)]
    there = signed_log(there) if logs else there
    if not len(there):
        return ColumnStatistics(len(values), float(missing), logs=logs)
    return ColumnStatistics(len(values), float(missing), float(there.mean()), float(there.std()), logs)


def _ids(columns: Sequence[Any], feature: Feature) -> ColumnStatistics:
    counts: Counter[Any] = Counter()
    missing, rows = 0, 0
    nothing = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
    for column in columns:
        if isinstance(column, Coded):
            values, found = column.values, np.bincount(column.places.reshape(-1), minlength=len(column.values))
            gaps = column.values[column.places] == nothing
        else:
            values, found = np.unique(column, return_counts=True)
            gaps = column == nothing
        rows += len(gaps)
        missing += int((gaps.all(axis=1) if gaps.ndim == 2 else gaps).sum())
        for value, count in zip(values.tolist(), found.tolist(), strict=True):
            if count and value != nothing:
                counts[value] += count
    total = max(counts.total(), 1)
    # Those that are as frequent in their own order, so that it is the same in every process.
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_REMEMBERED]
    unknown = None
    if feature.num_ids:
        unknown = sum(count for value, count in counts.items() if not 0 <= value < feature.num_ids) / total
    elif feature.vocabulary:
        known = {word.encode() if isinstance(word, str) else word for word in feature.vocabulary}
        unknown = sum(count for value, count in counts.items() if value not in known) / total
    return ColumnStatistics(
        rows,
        missing / max(rows, 1),
        distinct=max(len(counts), 1),
        top={value: count / total for value, count in top},
        unknown=unknown,
    )


def row_hashes(block: CodedColumns) -> np.ndarray:
    """A number for each row, which rows that are equal in every column share; within this process."""
    hashes = np.zeros(rows_of(block), np.uint64)
    for column in block.values():
        if isinstance(column, Coded):
            bits = np.array([hash(value) for value in column.values.tolist()], np.int64).view(np.uint64)[column.places]
        else:
            bits = np.ascontiguousarray(column)
            bits = bits.view(np.uint32) if bits.dtype.itemsize == 4 else bits
            bits = bits.astype(np.uint64)
        for each in bits.reshape(len(hashes), -1).T:
            hashes = (hashes ^ (each * _SPREAD)) * _MIX
            hashes ^= hashes >> np.uint64(29)
    return hashes

"""Rows that occur twice in a log: within a day's sample, and as whole row groups anywhere in the log."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from ..columns import DictionaryColumn, EncodedColumns, count_rows
from .checkable_log import CheckableLog, RowGroup
from .checked_day import Anomaly

# Odd 64-bit numbers whose bits look random, to mix the bits of a row.
_MULTIPLIER, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
# Smaller row groups may be equal by chance.
_MIN_GROUP_ROWS = 100
# Maximum number of candidates that are read and compared row by row.
_COMPARED_PAIRS = 4


def repeated_share(blocks: Sequence[EncodedColumns]) -> float:
    """Computes the share of rows that equal an earlier row in every column."""
    hashes = np.concatenate([hash_rows(block) for block in blocks])
    return 1 - len(np.unique(hashes)) / len(hashes) if len(hashes) else 0.0


def hash_rows(block: EncodedColumns) -> np.ndarray:
    """Computes a 64-bit hash of each row, ``[rows]``. Rows that are equal in every column have equal hashes.

    Hashes of strings differ between processes, so compare hashes only within one process.
    """
    hashes = np.zeros(count_rows(block), np.uint64)
    for column in block.values():
        if isinstance(column, DictionaryColumn):
            bits = np.array([hash(value) for value in column.values.tolist()], np.int64).view(np.uint64)[column.indices]
        else:
            bits = np.ascontiguousarray(column)
            bits = bits.view(np.uint32) if bits.dtype.itemsize == 4 else bits
            bits = bits.astype(np.uint64)
        for values in bits.reshape(len(hashes), math.prod(bits.shape[1:])).T:
            hashes = (hashes ^ (values * _SPREAD)) * _MULTIPLIER
            hashes ^= hashes >> np.uint64(29)
    return hashes


class DuplicateGroups:
    """Finds row groups that repeat an earlier row group of the log.

    Args:
      log: The log.
    """

    def __init__(self, log: CheckableLog):
        self._log = log
        self._first: dict[Hashable, RowGroup] = {}

    def add_day(self, day: int) -> list[tuple[RowGroup, RowGroup]]:
        """Adds the row groups of a day. Returns candidates: pairs of a group and an earlier group with the same signature."""
        candidates = []
        for group in self._log.row_groups(day):
            if group.rows >= _MIN_GROUP_ROWS:
                first = self._first.setdefault(group.signature, group)
                if first != group:
                    candidates.append((group, first))
        return candidates

    def confirm(self, candidates: Sequence[tuple[RowGroup, RowGroup]]) -> list[Anomaly]:
        """Reads the first candidates and returns an anomaly if their rows are equal."""
        compared = candidates[:_COMPARED_PAIRS]
        equal = [pair for pair in compared if self._have_equal_rows(*pair)]
        if not equal:
            return []
        group, first = equal[0]
        # If every compared pair is equal, the other pairs are assumed to be equal too.
        count = sum(repeated.rows for repeated, _ in (candidates if len(equal) == len(compared) else equal))
        text = (
            f"{count:,} rows occur twice in the log: row group {group.index} of {self._log.relative_name(group.file)} "
            f"repeats row group {first.index} of {self._log.relative_name(first.file)}"
        )
        return [Anomaly("duplicates", "", text)]

    def _have_equal_rows(self, group: RowGroup, other: RowGroup) -> bool:
        return np.array_equal(self._hash_group(group), self._hash_group(other))

    def _hash_group(self, group: RowGroup) -> np.ndarray:
        return hash_rows(self._log.read_group(group.file, group.index))

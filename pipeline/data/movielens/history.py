"""Counts, sums and recent rows before each row of a table, without looking ahead.

Rows are in order of time, and each belongs to a group, such as its user or its movie. The rows *before* a row are the
rows of its group with a strictly smaller time. Rows with equal times do not use each other, because in a log they often
come from one burst, and a server would not have known their order.

All results are exact. Sums are over integers, so no rounding error carries over from one group to another, and a row's
result depends only on the rows before it.
"""

from __future__ import annotations

import dataclasses

import numpy as np


class History:
    """The earlier rows of each row's group.

    Construction takes O(n log n) time and three integers of memory per row.

    Args:
      group: Group of each row, any integers, ``[n]``.
      time: Time of each row, not decreasing, ``[n]``.

    Attributes:
      count: Number of rows before each row, int64, ``[n]``.

    Raises:
      ValueError: If the shapes differ or ``time`` decreases.

    Example:
    >>> history = History(group=np.array([7, 7, 7, 8]), time=np.array([1, 5, 5, 9]))
    >>> history.count
    array([0, 1, 1, 0])
    >>> history.sum(np.array([4, 2, 3, 1]))
    array([0, 4, 4, 0])
    """

    def __init__(self, group: np.ndarray, time: np.ndarray) -> None:
        if group.shape != time.shape or group.ndim != 1:
            raise ValueError(
                f"group and time must be vectors of equal length, got shapes {group.shape} and {time.shape}"
            )
        if np.any(time[1:] < time[:-1]):
            row = int(np.argmax(time[1:] < time[:-1])) + 1
            raise ValueError(f"time must not decrease, got {time[row]} after {time[row - 1]} at row {row}")
        # A stable sort by group keeps the rows of each group in order of time.
        self._order = np.argsort(group, kind="stable")
        group, time = group[self._order], time[self._order]
        is_group_start = np.ones(len(group), bool)
        is_group_start[1:] = group[1:] != group[:-1]
        is_time_start = is_group_start.copy()
        is_time_start[1:] |= time[1:] != time[:-1]
        self._group_start = _last_true_index(is_group_start)
        # The rows before a row reach from the start of its group to the start of its time.
        self._time_start = _last_true_index(is_time_start)
        self.count = self._to_row_order(self._time_start - self._group_start)

    def sum(self, values: np.ndarray, last: int = 0) -> np.ndarray:
        """Returns the sum of the values of the rows before each row, int64, ``[n]``.

        Args:
          values: Integers or booleans, ``[n]``. Multiply fractions by a power of two and round them first.
          last: Number of the latest rows to sum; 0 for all.

        Raises:
          TypeError: If the values are floating-point numbers, whose sums are not exact.
        """
        if not (np.issubdtype(values.dtype, np.integer) or values.dtype == bool):
            raise TypeError(f"values must be integers or booleans, so that sums are exact, got {values.dtype}")
        before = np.zeros(len(values) + 1, np.int64)
        np.cumsum(values[self._order], dtype=np.int64, out=before[1:])
        start = np.maximum(self._group_start, self._time_start - last) if last else self._group_start
        return self._to_row_order(before[self._time_start] - before[start])

    def first(self, values: np.ndarray) -> np.ndarray:
        """Returns the value of the first row of each row's group, ``[n]``.

        The first row can be the row itself, or a row with the same time.
        """
        return self._to_row_order(values[self._order][self._group_start])

    def select(self, mask: np.ndarray) -> RecentRows:
        """Returns the rows before each row for which ``mask`` is true.

        Args:
          mask: Booleans, ``[n]``.
        """
        mask = mask[self._order]
        before = np.zeros(len(mask) + 1, np.int64)
        np.cumsum(mask, out=before[1:])
        return RecentRows(
            rows=self._order[mask],
            start=self._to_row_order(before[self._group_start]),
            stop=self._to_row_order(before[self._time_start]),
        )

    def _to_row_order(self, in_group_order: np.ndarray) -> np.ndarray:
        values = np.empty_like(in_group_order)
        values[self._order] = in_group_order
        return values


@dataclasses.dataclass(frozen=True)
class RecentRows:
    """The selected rows before each row, stored as two integers per row instead of a table.

    Attributes:
      rows: The selected rows, group by group, in order of time within a group.
      start: Where the group of each row starts in ``rows``, ``[n]``.
      stop: Where the rows before each row end in ``rows``, ``[n]``.
    """

    rows: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def latest(self, rows: slice | np.ndarray, width: int) -> np.ndarray:
        """Returns the last ``width`` selected rows before each of B ``rows``, the latest first.

        Returns:
          Row numbers, int64, ``[B, width]``; padded with -1.
        """
        position = self.stop[rows, None] - 1 - np.arange(width)
        exists = position >= self.start[rows, None]
        latest = np.full(exists.shape, -1, np.int64)
        latest[exists] = self.rows[position[exists]]
        return latest


def _last_true_index(mask: np.ndarray) -> np.ndarray:
    """Returns, for each index, the last index up to it at which the mask is true. The mask is true at index 0."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))

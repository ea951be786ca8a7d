"""What was known before a row: counts, sums and recent events, without a look ahead.

Rows stand in the order of time. For each row and its group (its user, its film, …) "before" means the group's rows of a
strictly smaller time: rows of equal time do not see each other, for in a log they often come from one burst and their
order tells nothing that a server would have known.

All results are exact. Sums are taken over integers, so that no rounding carries from one group into another and a row's
result depends on nothing but the rows before it.
"""

from __future__ import annotations

import dataclasses

import numpy as np


class History:
    """For each row, the earlier rows of its group.

    Time O(n log n), memory 3 integers a row.

    Args:
      group: Group of each row, integers, shape [n]; the values are arbitrary.
      time: Time of each row, not decreasing, shape [n].

    Attributes:
      count: Rows of the group before the row, int64, shape [n].

    Raises:
      ValueError: When the two differ in shape or ``time`` decreases.

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
        # Sorted by group, a group's rows stand together and, the sort being stable, in the order of time.
        self._order = np.argsort(group, kind="stable")
        group, time = group[self._order], time[self._order]
        new_group = np.ones(len(group), bool)
        new_group[1:] = group[1:] != group[:-1]
        new_time = new_group.copy()
        new_time[1:] |= time[1:] != time[:-1]
        self._group_start = _last_true(new_group)
        # The rows before a row are those from its group's start up to the start of its own time.
        self._time_start = _last_true(new_time)
        self.count = self._in_row_order(self._time_start - self._group_start)

    def sum(self, values: np.ndarray, last: int = 0) -> np.ndarray:
        """Sum of the values of the rows before each row: int64, shape [n].

        Args:
          values: Integers or booleans, shape [n]. Multiply fractions by a power of two and round.
          last: How many of the rows before each row count, the latest; 0 for all.

        Raises:
          TypeError: For floating-point values, whose sums would not be exact.
        """
        if not (np.issubdtype(values.dtype, np.integer) or values.dtype == bool):
            raise TypeError(f"values must be integers or booleans, so that sums are exact, got {values.dtype}")
        before = np.zeros(len(values) + 1, np.int64)
        np.cumsum(values[self._order], dtype=np.int64, out=before[1:])
        start = np.maximum(self._group_start, self._time_start - last) if last else self._group_start
        return self._in_row_order(before[self._time_start] - before[start])

    def first(self, values: np.ndarray) -> np.ndarray:
        """The value of the group's first row, which may be the row itself or one of its own time: shape [n]."""
        return self._in_row_order(values[self._order][self._group_start])

    def recent(self, chosen: np.ndarray) -> Recent:
        """The latest rows before each row among the chosen ones.

        Args:
          chosen: Which rows count, booleans, shape [n].
        """
        chosen = chosen[self._order]
        before = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(chosen, out=before[1:])
        return Recent(
            rows=self._order[chosen],
            start=self._in_row_order(before[self._group_start]),
            stop=self._in_row_order(before[self._time_start]),
        )

    def _in_row_order(self, in_group_order: np.ndarray) -> np.ndarray:
        values = np.empty_like(in_group_order)
        values[self._order] = in_group_order
        return values


@dataclasses.dataclass(frozen=True)
class Recent:
    """The chosen rows before each row, kept compact: two integers a row instead of a table.

    Attributes:
      rows: The chosen rows, group by group, within a group in the order of time.
      start: For each row, where its group begins in ``rows``, shape [n].
      stop: For each row, where the rows before it end in ``rows``, shape [n].
    """

    rows: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def latest(self, of: slice | np.ndarray, width: int) -> np.ndarray:
        """The last ``width`` chosen rows before each of the rows ``of``, the latest first.

        Returns:
          Row numbers, int64, shape [B, width]; -1 where there are fewer.
        """
        position = self.stop[of, None] - 1 - np.arange(width)
        there = position >= self.start[of, None]
        latest = np.full(there.shape, -1, np.int64)
        latest[there] = self.rows[position[there]]
        return latest


def _last_true(mask: np.ndarray) -> np.ndarray:
    """For each place, the last place up to it where the mask holds; the mask holds at place 0."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))

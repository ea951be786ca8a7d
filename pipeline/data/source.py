"""The one interface of all data sources.

A log is a sequence of days; a day is a sequence of blocks; a block is a set of columns of equal length. Any block can be
asked for at any time, in any process, and is always the same: resuming, sharding over workers and evaluating a day
before training on it then need no state and no replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...models.schema import Schema

Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Coded:
    """Strings as places in a list of strings, which is how files keep them; moving places about costs far less.

    Attributes:
      values: The strings, of which the last is empty: the missing form.
      places: int32, of any shape.
    """

    values: np.ndarray
    places: np.ndarray

    def __getitem__(self, rows: Any) -> Coded:
        return Coded(self.values, self.places[rows])

    def strings(self) -> np.ndarray:
        """The strings themselves."""
        return self.values[self.places]


CodedColumns = dict[str, np.ndarray | Coded]


def decoded(columns: Mapping[str, np.ndarray | Coded]) -> Columns:
    """The same columns, each an array."""
    return {name: column.strings() if isinstance(column, Coded) else column for name, column in columns.items()}


def rows_of(columns: CodedColumns) -> int:
    """How many rows they have."""
    first = next(iter(columns.values()))
    return len(first.places if isinstance(first, Coded) else first)


@dataclasses.dataclass(frozen=True)
class Note:
    """What was wrong with the rows of a block, in plain types, so that it can be sent to another process.

    Attributes:
      day: The day, by its position.
      index: The block.
      faulty: How many rows are skipped.
      rows: For each of these rows, and of those that had a number put to its bound, ``file``, ``row``, ``reasons``, ``clamped`` if it
        is one of the latter, and, for the first of them, ``values``.
    """

    day: int
    index: int
    faulty: int
    rows: list[dict[str, Any]]


class NotingSource(Protocol):
    """A source that has its strings coded as well, and whose rows may be faulty."""

    def runs(self, day: int) -> Sequence[Hashable]:
        """Of each block of a day the run that it is of: blocks of the same run are best read one after the other."""
        ...

    def read(self, day: int, index: int) -> tuple[CodedColumns, Note | None]:
        """What ``block`` returns, the columns of strings coded, and what was wrong; nothing is remembered."""
        ...

    def take(self, note: Note) -> None:
        """Remembers what was wrong with a block, however often it is told; raises :class:`UserError` when it is too much."""
        ...


class Source(Protocol):
    """A log of impressions, day by day.

    Attributes:
      schema: Names the columns of each block: dtypes and row shapes are those of ``schema.columns``; strings are arrays
        of bytes.

    The methods take a day by its position in ``days``.
    """

    schema: Schema

    @property
    def days(self) -> Sequence[str]:
        """The days' names, in order."""
        ...

    def block_rows(self, day: int) -> Sequence[int]:
        """Rows of each block of the day, in order."""
        ...

    def block(self, day: int, index: int) -> Columns:
        """The columns of one block: a pure function of the source's settings, ``day`` and ``index``."""
        ...

    def expected(self, day: int, index: int) -> Columns | None:
        """For each task the value that a perfect ranker would predict, row by row; None when nobody knows it.

        Known for a simulated log only: it gives the ceiling that a ranker can reach.
        """
        ...

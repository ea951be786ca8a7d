"""Reads a large Parquet row group in parts, from its first to its last, so that memory holds one part at a time."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

# Many writers make row groups of a million rows. Larger groups than LARGE_ROWS are read in parts of about PART_ROWS.
LARGE_ROWS = 131_072
PART_ROWS = 65_536


@dataclasses.dataclass(frozen=True)
class RowGroupPart:
    """A part of a row group; small row groups have a single part.

    Attributes:
      row_group: Position of the row group in its file.
      part: Position of this part in the row group.
      num_parts: Number of parts of the row group.
      rows: Rows of this part.
      part_rows: Rows of every part but the last.
    """

    row_group: int
    part: int
    num_parts: int
    rows: int
    part_rows: int


def divide_row_group(row_group: int, rows: int) -> list[RowGroupPart]:
    """Divides a row group into parts of equal size; the last part may be smaller.

    Args:
      row_group: Position of the row group in its file.
      rows: Rows of the row group.

    Example:
    >>> [part.rows for part in divide_row_group(0, 300_001)]
    [60001, 60001, 60001, 60001, 59997]
    """
    num_parts = -(-rows // PART_ROWS) if rows > LARGE_ROWS else 1
    part_rows = max(-(-rows // num_parts), 1)
    sizes = [min(part_rows, rows - first) for first in range(0, max(rows, 1), part_rows)]
    return [RowGroupPart(row_group, part, len(sizes), size, part_rows) for part, size in enumerate(sizes)]


def regroup_batches(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Joins record batches into tables of ``rows`` rows; the last table may be smaller.

    Arrow may return the rows of one part in several batches, but never more rows in a batch than it was asked for.
    """
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        if sum(part.num_rows for part in pending) >= rows:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


class RowGroupCursor:
    """A position in a row group that moves forward as parts are read.

    Reading the part at the cursor is cheap. Reading a later part skips the parts between. Reading an earlier part
    starts the row group again. Safe for use by several threads.

    Args:
      open_parts: Opens the row group and yields its parts in order.
      num_parts: Number of parts.
    """

    def __init__(self, open_parts: Callable[[], Iterator[pa.Table]], num_parts: int):
        self._open_parts, self._num_parts = open_parts, num_parts
        self._parts: Iterator[pa.Table] | None = None
        self._next = 0
        self._lock = threading.Lock()

    def read(self, part: int) -> pa.Table:
        """Returns one part.

        Raises:
          ValueError: If the row group ends before this part. Errors of ``open_parts`` pass through.
        """
        with self._lock:
            parts, position = self._parts, self._next
            # If reading fails below, the next call starts the row group again. Nothing stays open after the last part.
            self._parts = None
            if parts is None or part < position:
                parts, position = self._open_parts(), 0
            for table in parts:
                position += 1
                if position > part:
                    if position < self._num_parts:
                        self._parts, self._next = parts, position
                    return table
            raise ValueError(f"the row group ends after {position} of {self._num_parts} parts")

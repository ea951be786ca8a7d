"""Parquet files, read by columns; a row group at a time, or a part of a large one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..source import EncodedColumns
from .arrow_columns import FaultMasks, convert_table, list_log_columns, list_string_columns

# What Arrow raises on bytes that make no sense; names that are no UTF-8 are a ValueError.
_DAMAGED = (OSError, pa.ArrowException, ValueError, KeyError, IndexError, MemoryError, OverflowError)

# Many writers make row groups of a million rows, which are read in parts of equal size so that the memory stays bounded.
LARGE_ROWS = 131_072
PART_ROWS = 65_536
# Bytes of each column that are read at once of a large row group.
_READ_AT_ONCE = 1 << 20
# Large row groups that are read at the same time.
_OPEN = 4


@dataclasses.dataclass(frozen=True)
class _Group:
    """A row group, or a part of it.

    Attributes:
      row_group: Which one.
      part: Which part of it.
      parts: How many there are.
      rows: How many rows this is.
      part_rows: How many all parts have but the last.
    """

    row_group: int
    part: int
    parts: int
    rows: int
    part_rows: int


class ParquetReader:
    """Reads what a schema names.

    Args:
      filesystem: Where the files lie.
      schema: Which columns, and as what. None: to look at tables with all their columns.
    """

    def __init__(self, filesystem: fs.FileSystem, schema: Schema | None):
        self._filesystem = filesystem
        self._schema = schema
        self._columns = list_log_columns(schema) if schema else None
        self._strings = list_string_columns(schema) if schema else []
        self._footers: dict[str, tuple[pq.FileMetaData, list[_Group]]] = {}
        self._open: dict[tuple[str, int], _InParts] = {}
        self._lock = threading.Lock()

    def group_rows(self, file: str) -> list[int]:
        """Rows of each row group, or of each part of a large one."""
        return [group.rows for group in self._footer(file)[1]]

    def sequential_run(self, file: str, group: int) -> int:
        """The row group, of which the parts are best read one after the other."""
        return self._footer(file)[1][group].row_group

    def column_types(self, file: str) -> dict[str, str]:
        """All columns of the file and their types."""
        try:
            return {field.name: str(field.type) for field in self._footer(file)[0].schema.to_arrow_schema()}
        except _DAMAGED as error:
            raise _damaged(file, "the footer", error) from error

    def group_signature(self, file: str, group: int) -> Hashable:
        """Equal for groups of equal content; others hardly ever have the same."""
        footer, groups = self._footer(file)
        found = footer.row_group(groups[group].row_group)
        sizes = [found.column(i).total_compressed_size for i in range(found.num_columns)]
        return found.num_rows, groups[group].part, tuple(sizes)

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """The columns of one row group, and what was found wrong; see :func:`.arrow_columns.convert_table`."""
        assert self._schema is not None
        return convert_table(self.read_table(file, group), self._schema, file, clamp, lambda: self.column_types(file))

    def read_table(self, file: str, group: int) -> pa.Table:
        """The row group, or the part of it, as it lies there."""
        found = self._footer(file)[1][group]
        try:
            table = self._whole(file, found) if found.parts == 1 else self._in_parts(file, found).part(found.part)
            # Not the bytes of each string, which are read as they are.
            table.validate()
        except _DAMAGED as error:
            raise _damaged(file, f"row group {found.row_group}", error) from error
        if table.num_rows != found.rows and table.num_columns:
            wrong = ValueError(f"{table.num_rows} rows instead of {found.rows}")
            raise _damaged(file, f"row group {found.row_group}", wrong)
        return table

    def _whole(self, file: str, group: _Group) -> pa.Table:
        footer = self._footer(file)[0]
        with self._filesystem.open_input_file(file) as opened:
            # A file of its own for each call: readers share nothing, and may run side by side.
            reader = self._reader(opened, footer)
            return reader.read_row_group(group.row_group, columns=self._wanted(footer), use_threads=False)

    def _in_parts(self, file: str, group: _Group) -> _InParts:
        def begin() -> Iterator[pa.Table]:
            footer = self._footer(file)[0]
            with self._filesystem.open_input_file(file) as opened:
                reader = self._reader(opened, footer, pre_buffer=False, buffer_size=_READ_AT_ONCE)
                batches = reader.iter_batches(
                    group.part_rows, row_groups=[group.row_group], columns=self._wanted(footer)
                )
                held: list[pa.RecordBatch] = []
                for batch in batches:
                    # Arrow may give the rows of a part in several batches.
                    held.append(batch)
                    if sum(each.num_rows for each in held) >= group.part_rows:
                        yield pa.Table.from_batches(held)
                        held = []
                if held:
                    yield pa.Table.from_batches(held)

        with self._lock:
            key = file, group.row_group
            found = self._open.pop(key, None) or _InParts(begin, group.parts)
            # Those that were used last stand last.
            self._open[key] = found
            while len(self._open) > _OPEN:
                del self._open[next(iter(self._open))]
        return found

    def _reader(self, opened: pa.NativeFile, footer: pq.FileMetaData, **options: int) -> pq.ParquetFile:
        strings = self._dictionaries(footer)
        return pq.ParquetFile(
            opened, metadata=footer, read_dictionary=strings, page_checksum_verification=True, **options
        )

    def _wanted(self, footer: pq.FileMetaData) -> list[str] | None:
        """The columns to read of those that are there; None: all."""
        names = set(footer.schema.to_arrow_schema().names)
        return None if self._columns is None else [name for name in self._columns if name in names]

    def _dictionaries(self, footer: pq.FileMetaData) -> list[str]:
        """The strings that are read as places in a dictionary, which is how most writers put them there."""
        leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
        return [
            leaf.path
            for leaf in leaves
            if leaf.physical_type == "BYTE_ARRAY"
            and any(leaf.path == name or leaf.path.startswith(f"{name}.list.") for name in self._strings)
        ]

    def _footer(self, file: str) -> tuple[pq.FileMetaData, list[_Group]]:
        with self._lock:
            found = self._footers.get(file)
        if found is None:
            try:
                with self._filesystem.open_input_file(file) as opened:
                    footer = pq.read_metadata(opened)
                rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
                if min(rows, default=0) < 0 or sum(rows) != footer.num_rows:
                    raise ValueError(f"{footer.num_rows} rows, but {sum(rows)} in its row groups")
            except _DAMAGED as error:
                raise _damaged(file, "the footer", error) from error
            found = footer, [group for i, some in enumerate(rows) for group in _groups(i, some)]
            with self._lock:
                self._footers[file] = found
        return found


class _InParts:
    """A row group that is read from its beginning on; a part that lies behind is reached by beginning again.

    Args:
      begin: Reads its parts in their order.
      parts: How many there are.
    """

    def __init__(self, begin: Callable[[], Iterator[pa.Table]], parts: int):
        self._begin, self._count = begin, parts
        self._parts: Iterator[pa.Table] | None = None
        self._next = 0
        self._lock = threading.Lock()

    def part(self, place: int) -> pa.Table:
        """One part; those before it are passed over."""
        with self._lock:
            parts, at = self._parts, self._next
            # What cannot be read is begun again by whoever asks next, and nothing stays open behind the last part.
            self._parts = None
            if parts is None or place < at:
                parts, at = self._begin(), 0
            for table in parts:
                at += 1
                if at > place:
                    if at < self._count:
                        self._parts, self._next = parts, at
                    return table
            raise ValueError(f"it ends after {at} of {self._count} parts")


def _groups(row_group: int, rows: int) -> list[_Group]:
    parts = -(-rows // PART_ROWS) if rows > LARGE_ROWS else 1
    part_rows = max(-(-rows // parts), 1)
    counts = [min(part_rows, rows - first) for first in range(0, max(rows, 1), part_rows)]
    return [_Group(row_group, i, len(counts), count, part_rows) for i, count in enumerate(counts)]


def _damaged(file: str, place: str, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{file}: the file is gone")
    return UserError(
        f"{file}: {place} cannot be read, the file is damaged, no Parquet or out of reach: {first_line(error)}"
    )

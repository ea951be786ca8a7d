"""Parquet files, a row group at a time, read by columns."""

from __future__ import annotations

import threading
from collections.abc import Hashable

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ...models.schema import Schema
from ..config.errors import UserError, first_line
from .from_arrow import Findings, convert, needed_columns, string_columns
from .source import CodedColumns

# What Arrow raises on bytes that make no sense; names that are no UTF-8 are a ValueError.
_DAMAGED = (OSError, pa.ArrowException, ValueError, KeyError, IndexError, MemoryError, OverflowError)


class ParquetReader:
    """Reads what a schema names.

    Args:
      filesystem: Where the files lie.
      schema: Which columns, and as what. None: to look at tables with all their columns.
    """

    def __init__(self, filesystem: fs.FileSystem, schema: Schema | None):
        self._filesystem = filesystem
        self._schema = schema
        self._columns = needed_columns(schema) if schema else None
        self._strings = string_columns(schema) if schema else []
        self._footers: dict[str, pq.FileMetaData] = {}
        self._lock = threading.Lock()

    def groups(self, file: str) -> list[int]:
        """Rows of each row group."""
        footer = self._footer(file)
        return [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]

    def fields(self, file: str) -> dict[str, str]:
        """All columns of the file and their types."""
        try:
            return {field.name: str(field.type) for field in self._footer(file).schema.to_arrow_schema()}
        except _DAMAGED as error:
            raise _damaged(file, "the footer", error) from error

    def signature(self, file: str, group: int) -> Hashable:
        """Equal for groups of equal content; others hardly ever have the same."""
        found = self._footer(file).row_group(group)
        sizes = [found.column(i).total_compressed_size for i in range(found.num_columns)]
        return found.num_rows, tuple(sizes)

    def columns(self, file: str, group: int, clamp: bool = False) -> tuple[CodedColumns, Findings]:
        """The columns of one row group, and what was found wrong; see :func:`.from_arrow.convert`."""
        assert self._schema is not None
        return convert(self.table(file, group), self._schema, file, clamp)

    def table(self, file: str, group: int) -> pa.Table:
        """The row group as it lies there."""
        footer = self._footer(file)
        try:
            names = set(footer.schema.to_arrow_schema().names)
            wanted = None if self._columns is None else [name for name in self._columns if name in names]
            with self._filesystem.open_input_file(file) as opened:
                # A file of its own for each call: readers share nothing, and may run side by side.
                reader = pq.ParquetFile(
                    opened,
                    metadata=footer,
                    read_dictionary=self._dictionaries(footer),
                    page_checksum_verification=True,
                )
                table = reader.read_row_group(group, columns=wanted, use_threads=False)
                # Not the bytes of each string, which are read as they are.
                table.validate()
        except _DAMAGED as error:
            raise _damaged(file, f"row group {group}", error) from error
        rows = footer.row_group(group).num_rows
        if table.num_rows != rows and table.num_columns:
            raise _damaged(file, f"row group {group}", ValueError(f"{table.num_rows} rows instead of {rows}"))
        return table

    def _dictionaries(self, footer: pq.FileMetaData) -> list[str]:
        """The strings that are read as places in a dictionary, which is how most writers put them there."""
        leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
        return [
            leaf.path
            for leaf in leaves
            if leaf.physical_type == "BYTE_ARRAY"
            and any(leaf.path == name or leaf.path.startswith(f"{name}.list.") for name in self._strings)
        ]

    def _footer(self, file: str) -> pq.FileMetaData:
        with self._lock:
            found = self._footers.get(file)
        if found is None:
            try:
                with self._filesystem.open_input_file(file) as opened:
                    found = pq.read_metadata(opened)
                rows = [found.row_group(i).num_rows for i in range(found.num_row_groups)]
                if min(rows, default=0) < 0 or sum(rows) != found.num_rows:
                    raise ValueError(f"{found.num_rows} rows, but {sum(rows)} in its row groups")
            except _DAMAGED as error:
                raise _damaged(file, "the footer", error) from error
            with self._lock:
                self._footers[file] = found
        return found


def _damaged(file: str, place: str, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{file}: the file is gone")
    return UserError(
        f"{file}: {place} cannot be read, the file is damaged, no Parquet or out of reach: {first_line(error)}"
    )

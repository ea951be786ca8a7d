"""Reads Parquet files column by column, one row group at a time, or one part of a large row group."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..columns import EncodedColumns
from .arrow_columns import FaultMasks, convert_table, list_log_columns, list_string_columns, split_position
from .partition_columns import PartitionColumns
from .row_group_cursor import RowGroupCursor, RowGroupPart, divide_row_group, regroup_batches
from .type_kinds import name_kind

# The errors that Arrow raises for damaged bytes. Names that are not UTF-8 raise a ValueError.
_READ_ERRORS = (OSError, pa.ArrowException, ValueError, KeyError, IndexError, MemoryError, OverflowError)
_NO_PARTITIONS = PartitionColumns({})
# Buffer size for each column of a large row group.
_READ_BYTES = 1 << 20
# Maximum number of large row groups that are open at the same time.
_MAX_CURSORS = 4


class ParquetReader:
    """Reads the columns that a schema names from Parquet files.

    A group is a row group, or one part of a row group of more than :data:`.row_group_cursor.LARGE_ROWS` rows. Safe for
    use by several threads.

    Args:
      filesystem: The file system that holds the files.
      schema: Which columns to read, and how. None: :meth:`read_table` returns all columns, and :meth:`read_columns`
        cannot be called.
      partitions: Columns whose values are in the names of folders.
    """

    def __init__(
        self,
        filesystem: fs.FileSystem,
        schema: Schema | None,
        partitions: PartitionColumns = _NO_PARTITIONS,
    ):
        self._filesystem = filesystem
        self._schema = schema
        self._partitions = partitions
        self._column_names = _add_plain_names(list_log_columns(schema)) if schema else None
        self._string_columns = _add_plain_names(list_string_columns(schema)) if schema else []
        self._footers: dict[str, tuple[pq.FileMetaData, list[RowGroupPart]]] = {}
        self._cursors: dict[tuple[str, int], RowGroupCursor] = {}
        self._suitable_schemas: list[pa.Schema] = []
        self._lock = threading.Lock()

    def group_rows(self, file: str) -> list[int]:
        """Returns the number of rows of each group."""
        return [group.rows for group in self._read_footer(file)[1]]

    def sequential_run(self, file: str, group: int) -> int:
        """Returns the row group that a group belongs to. Its parts are read fastest one after the other."""
        return self._read_footer(file)[1][group].row_group

    def column_types(self, file: str) -> dict[str, str]:
        """Returns all columns of a file and their types."""
        try:
            fields = self._read_footer(file)[0].schema.to_arrow_schema()
        except _READ_ERRORS as error:
            raise _unreadable(file, "the footer", error) from error
        return self._partitions.types(file) | {field.name: str(field.type) for field in fields}

    def column_kinds(self, file: str) -> dict[str, str]:
        """Returns the schema's columns of a file and the kinds of their types; see :func:`.type_kinds.name_kind`."""
        table = self._make_empty_table(file)
        return {field.name: name_kind(field.type) for field in table.schema}

    def check_types(self, file: str) -> None:
        """Raises a UserError if the file lacks a column of the schema, or has one of an unsuitable type."""
        assert self._schema is not None
        table = self._make_empty_table(file)
        if table.schema not in self._suitable_schemas:
            convert_table(table, self._schema, file, list_columns=lambda: self.column_types(file))
            self._suitable_schemas.append(table.schema)

    def _make_empty_table(self, file: str) -> pa.Table:
        """Returns a table without rows that has the schema's columns, as the file stores them."""
        try:
            fields = self._read_footer(file)[0].schema.to_arrow_schema()
        except _READ_ERRORS as error:
            raise _unreadable(file, "the footer", error) from error
        selected = [field for field in fields if self._column_names is None or field.name in self._column_names]
        return self._partitions.add_to(pa.schema(selected).empty_table(), file, 0)

    def group_signature(self, file: str, group: int) -> Hashable:
        """Returns a value that is equal for groups of equal content and hardly ever equal for others."""
        footer, groups = self._read_footer(file)
        row_group = footer.row_group(groups[group].row_group)
        sizes = [row_group.column(i).total_compressed_size for i in range(row_group.num_columns)]
        return row_group.num_rows, groups[group].part, tuple(sizes)

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """Returns the schema's columns of one group and its faulty rows; see :func:`.arrow_columns.convert_table`."""
        assert self._schema is not None
        return convert_table(self.read_table(file, group), self._schema, file, clamp, lambda: self.column_types(file))

    def read_table(self, file: str, group: int) -> pa.Table:
        """Returns one group as it is stored."""
        part = self._read_footer(file)[1][group]
        place = f"row group {part.row_group}"
        try:
            is_whole = part.num_parts == 1
            table = self._read_row_group(file, part) if is_whole else self._get_cursor(file, part).read(part.part)
            # Checks offsets and lengths only. The full validation also checks that strings are UTF-8, which is not
            # required here.
            table.validate()
        except _READ_ERRORS as error:
            raise _unreadable(file, place, error) from error
        if table.num_rows != part.rows and table.num_columns:
            raise _unreadable(file, place, ValueError(f"expected {part.rows} rows, got {table.num_rows}"))
        return self._partitions.add_to(table, file, part.rows)

    def _read_row_group(self, file: str, part: RowGroupPart) -> pa.Table:
        footer = self._read_footer(file)[0]
        # Each call opens the file itself: calls share no state and can run in parallel.
        with self._filesystem.open_input_file(file) as opened:
            parquet_file = self._open_parquet(opened, footer)
            return parquet_file.read_row_group(part.row_group, columns=self._select_columns(footer), use_threads=False)

    def _get_cursor(self, file: str, part: RowGroupPart) -> RowGroupCursor:
        """Returns the cursor of a large row group. Only the cursors that were used last stay open."""

        def open_parts() -> Iterator[pa.Table]:
            footer = self._read_footer(file)[0]
            with self._filesystem.open_input_file(file) as opened:
                parquet_file = self._open_parquet(opened, footer, pre_buffer=False, buffer_size=_READ_BYTES)
                batches = parquet_file.iter_batches(
                    part.part_rows, row_groups=[part.row_group], columns=self._select_columns(footer)
                )
                yield from regroup_batches(batches, part.part_rows)

        with self._lock:
            key = file, part.row_group
            cursor = self._cursors.pop(key, None) or RowGroupCursor(open_parts, part.num_parts)
            # The dictionary is in the order of use.
            self._cursors[key] = cursor
            while len(self._cursors) > _MAX_CURSORS:
                del self._cursors[next(iter(self._cursors))]
        return cursor

    def _open_parquet(self, opened: pa.NativeFile, footer: pq.FileMetaData, **options: int) -> pq.ParquetFile:
        return pq.ParquetFile(
            opened,
            metadata=footer,
            read_dictionary=self._list_dictionary_columns(footer),
            page_checksum_verification=True,
            **options,
        )

    def _select_columns(self, footer: pq.FileMetaData) -> list[str] | None:
        """Returns the columns to read; None: all."""
        if self._column_names is None:
            return None
        available = set(footer.schema.to_arrow_schema().names)
        return [name for name in self._column_names if name in available]

    def _list_dictionary_columns(self, footer: pq.FileMetaData) -> list[str]:
        """Returns the string columns. They are read as dictionaries, which is how most writers store them."""
        leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
        return [
            leaf.path
            for leaf in leaves
            if leaf.physical_type == "BYTE_ARRAY"
            and any(leaf.path == name or leaf.path.startswith(f"{name}.list.") for name in self._string_columns)
        ]

    def _read_footer(self, file: str) -> tuple[pq.FileMetaData, list[RowGroupPart]]:
        with self._lock:
            cached = self._footers.get(file)
        if cached is not None:
            return cached
        try:
            with self._filesystem.open_input_file(file) as opened:
                footer = pq.read_metadata(opened)
            rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
            if min(rows, default=0) < 0 or sum(rows) != footer.num_rows:
                raise ValueError(f"it says {footer.num_rows} rows, but its row groups have {sum(rows)}")
        except _READ_ERRORS as error:
            raise _unreadable(file, "the footer", error) from error
        parts = [part for i, group_rows in enumerate(rows) for part in divide_row_group(i, group_rows)]
        with self._lock:
            self._footers[file] = footer, parts
        return footer, parts


def _add_plain_names(columns: Iterable[str]) -> list[str]:
    """Adds ``age`` to ``age[1]``, which may mean the second of several columns named ``age``."""
    return list(dict.fromkeys(name for column in columns for name in (column, split_position(column)[0])))


def _unreadable(file: str, place: str, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{file}: the file no longer exists; restore it")
    return UserError(
        f"{file}: cannot read {place}: {first_line(error)}; check that the file is reachable and a complete Parquet file"
    )

"""The contract of the readers of file formats, and the reader for a log's format."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import pyarrow as pa

from ....models.schema import Schema
from ..columns import EncodedColumns
from .arrow_columns import FaultMasks, list_log_columns, list_string_columns
from .layout import LogLayout
from .parquet import ParquetReader
from .partition_columns import PartitionColumns
from .tfrecord import TFRecordReader


class FileReader(Protocol):
    """Reads the files of one format.

    A group is the smallest part of a file that can be read by itself. Methods take a group by its position in its file.
    """

    def group_rows(self, file: str) -> list[int]:
        """Returns the number of rows of each group."""
        ...

    def sequential_run(self, file: str, group: int) -> int:
        """Returns a number that is equal for groups of a file that should be read one after the other."""
        ...

    def column_types(self, file: str) -> dict[str, str]:
        """Returns all columns of a file and their types; empty if the format does not list them."""
        ...

    def column_kinds(self, file: str) -> dict[str, str]:
        """Returns the schema's columns of a file and the kinds of their types, which have no width or unit."""
        ...

    def check_types(self, file: str) -> None:
        """Raises a UserError if the file lists its columns, and lacks one or has one of an unsuitable type."""
        ...

    def group_signature(self, file: str, group: int) -> Hashable:
        """Returns a value that is equal for groups of equal content and hardly ever equal for others."""
        ...

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """Returns the schema's columns of one group and its faulty rows; see :func:`.arrow_columns.convert_table`."""
        ...

    def read_table(self, file: str, group: int) -> pa.Table:
        """Returns one group as it is stored."""
        ...


def make_reader(layout: LogLayout, schema: Schema | None) -> FileReader:
    """Makes the reader for a log's format.

    Args:
      layout: The log.
      schema: Which columns to read, and how. None: :meth:`FileReader.read_table` returns all columns, and
        :meth:`FileReader.read_columns` cannot be called.
    """
    names, strings = (list_log_columns(schema), list_string_columns(schema)) if schema else (None, [])
    partitions = PartitionColumns(layout.partitions, strings, names)
    if layout.format == "parquet":
        return ParquetReader(layout.filesystem, schema, partitions)
    return TFRecordReader(layout.filesystem, schema, rows=layout.rows, partitions=partitions)

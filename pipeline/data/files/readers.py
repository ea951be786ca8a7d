"""What a log's files are read with: one reader for each format."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import pyarrow as pa

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..source import EncodedColumns
from .arrow_columns import FaultMasks
from .layout import LogLayout
from .parquet import ParquetReader
from .tfrecord import TFRecordReader, simplify_table


class Reader(Protocol):
    """Reads the files of one format."""

    def group_rows(self, file: str) -> list[int]:
        """Rows of each group, the smallest part that can be read by itself."""
        ...

    def sequential_run(self, file: str, group: int) -> int:
        """Groups of the same run are best read one after the other."""
        ...

    def column_types(self, file: str) -> dict[str, str]:
        """All columns of a file and their types; empty when the format does not tell."""
        ...

    def group_signature(self, file: str, group: int) -> Hashable:
        """Equal for groups of equal content; others hardly ever have the same."""
        ...

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """The columns of one group, and what was found wrong; see :func:`.arrow_columns.convert_table`."""
        ...

    def read_table(self, file: str, group: int) -> pa.Table:
        """The group as it lies there."""
        ...


def make_reader(found: LogLayout, schema: Schema | None) -> Reader:
    """The reader of a log's format.

    Args:
      found: The log.
      schema: Which columns, and as what. None: all columns, by :meth:`Reader.read_table` alone.
    """
    if found.format == "parquet":
        return ParquetReader(found.filesystem, schema)
    return TFRecordReader(found.filesystem, schema, rows=found.rows)


def read_sample(found: LogLayout, rows: int, parts: int) -> tuple[int, pa.Table]:
    """How many rows a log has; and some of them with all columns, from groups that are spread over it.

    Args:
      found: The log.
      rows: About how many.
      parts: From how many places.

    Raises:
      UserError: When it has none, or they cannot be read.
    """
    reader = make_reader(found, None)
    groups = [
        (file, i, n) for _, files in found.days for file in files for i, n in enumerate(reader.group_rows(file)) if n
    ]
    if not groups:
        raise UserError("the log has no rows")
    # Groups may be small: as many as hold the rows.
    least = -(-rows * len(groups) // sum(n for *_, n in groups))
    parts = min(max(parts, least), len(groups))
    places = sorted({round(i * (len(groups) - 1) / max(parts - 1, 1)) for i in range(parts)})
    tables = [reader.read_table(*groups[place][:2]).slice(0, -(-rows // len(places))) for place in places]
    try:
        sample = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"the files' columns do not fit together: {first_line(error)}") from error
    return sum(n for *_, n in groups), simplify_table(
        sample, found.column_metadata
    ) if found.format == "tfrecord" else sample

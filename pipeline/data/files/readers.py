"""What a log's files are read with: one reader for each format."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import pyarrow as pa

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..source import CodedColumns
from .arrow_columns import Findings
from .layout import Layout
from .parquet import ParquetReader
from .tfrecord import TFRecordReader, simplified


class Reader(Protocol):
    """Reads the files of one format."""

    def groups(self, file: str) -> list[int]:
        """Rows of each group, the smallest part that can be read by itself."""
        ...

    def run(self, file: str, group: int) -> int:
        """Groups of the same run are best read one after the other."""
        ...

    def fields(self, file: str) -> dict[str, str]:
        """All columns of a file and their types; empty when the format does not tell."""
        ...

    def signature(self, file: str, group: int) -> Hashable:
        """Equal for groups of equal content; others hardly ever have the same."""
        ...

    def columns(self, file: str, group: int, clamp: bool = False) -> tuple[CodedColumns, Findings]:
        """The columns of one group, and what was found wrong; see :func:`.from_arrow.convert`."""
        ...

    def table(self, file: str, group: int) -> pa.Table:
        """The group as it lies there."""
        ...


def reader_of(found: Layout, schema: Schema | None) -> Reader:
    """The reader of a log's format.

    Args:
      found: The log.
      schema: Which columns, and as what. None: all columns, by :meth:`Reader.table` alone.
    """
    if found.format == "parquet":
        return ParquetReader(found.filesystem, schema)
    return TFRecordReader(found.filesystem, schema, rows=found.rows)


def read_whole(found: Layout, rows: int, parts: int) -> tuple[int, pa.Table]:
    """How many rows a log has; and some of them with all columns, from groups that are spread over it.

    Args:
      found: The log.
      rows: About how many.
      parts: From how many places.

    Raises:
      UserError: When it has none, or they cannot be read.
    """
    reader = reader_of(found, None)
    groups = [(file, i, n) for _, files in found.days for file in files for i, n in enumerate(reader.groups(file)) if n]
    if not groups:
        raise UserError("the log has no rows")
    # Groups may be small: as many as hold the rows.
    least = -(-rows * len(groups) // sum(n for *_, n in groups))
    parts = min(max(parts, least), len(groups))
    places = sorted({round(i * (len(groups) - 1) / max(parts - 1, 1)) for i in range(parts)})
    tables = [reader.table(*groups[place][:2]).slice(0, -(-rows // len(places))) for place in places]
    try:
        sample = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"the files' columns do not fit together: {first_line(error)}") from error
    return sum(n for *_, n in groups), simplified(sample, found.known) if found.format == "tfrecord" else sample

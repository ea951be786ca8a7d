"""Writes TFRecord files of tf.Examples as Parquet files that share one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...config.errors import UserError
from .layout import LogLayout
from .tf_examples import simplify_table
from .tfrecord import TFRecordReader


def write_parquet(
    layout: LogLayout, targets: Sequence[Path], rows_per_group: int, report_progress: Callable[[int, int], None]
) -> int:
    """Writes each file of a TFRecord log to a Parquet file.

    Every file is read twice, because the type of a column depends on all records.

    Args:
      layout: The log.
      targets: Where to write each of ``layout.files``.
      rows_per_group: Rows of a row group.
      report_progress: Called repeatedly with the number of finished rows and the number of all rows; each row counts
        twice.

    Returns:
      The number of rows.

    Raises:
      UserError: If a file cannot be read, or a column's type differs between files.
    """
    reader = TFRecordReader(layout.filesystem, None, inspected_records=0, rows=layout.rows)
    total_rows = sum(sum(reader.group_rows(file)) for file in layout.files)
    finished_rows = 0

    def count(rows: int) -> None:
        nonlocal finished_rows
        finished_rows += rows
        report_progress(finished_rows, 2 * total_rows)

    schema = _infer_schema(reader, layout, count)
    for file, target in zip(layout.files, targets, strict=True):
        with pq.ParquetWriter(target, schema) as writer:
            for table in _regroup_rows(_read_tables(reader, file, schema, count), rows_per_group):
                writer.write_table(table, row_group_size=rows_per_group)
    return total_rows


def _infer_schema(reader: TFRecordReader, layout: LogLayout, count: Callable[[int], None]) -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for file in layout.files:
        for group, rows in enumerate(reader.group_rows(file)):
            for field in simplify_table(reader.read_table(file, group), layout.column_metadata).schema:
                place = f"{file}: column '{field.name}'"
                types[field.name] = _merge_types(types.get(field.name, pa.null()), field.type, place)
            count(rows)
    return pa.schema(list(types.items()))


def _read_tables(
    reader: TFRecordReader, file: str, schema: pa.Schema, count: Callable[[int], None]
) -> Iterator[pa.Table]:
    for group, rows in enumerate(reader.group_rows(file)):
        table = _cast_table(reader.read_table(file, group), schema)
        count(rows)
        yield table


def _regroup_rows(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yields the rows of some tables as tables of ``rows`` rows; the last may be smaller."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        while sum(map(len, pending)) >= rows:
            joined = pa.concat_tables(pending)
            yield joined.slice(0, rows)
            pending = [joined.slice(rows)]
    if sum(map(len, pending)):
        yield pa.concat_tables(pending)


def _merge_types(first: pa.DataType, second: pa.DataType, place: str) -> pa.DataType:
    """Returns the type that holds the values of both types."""
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    value_type, second_value_type = (kind.value_type if pa.types.is_list(kind) else kind for kind in (first, second))
    if value_type != second_value_type:
        if {value_type, second_value_type} != {pa.string(), pa.binary()}:
            raise UserError(
                f"{place} is {second}, but {first} in earlier records; write all records with the same type"
            )
        value_type = pa.binary()
    return pa.list_(value_type) if pa.types.is_list(first) or pa.types.is_list(second) else value_type


def _cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns a table with the columns and types of ``schema``."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table.column(field.name)
        if pa.types.is_list(column.type) and not pa.types.is_list(field.type):
            column = pc.list_element(column, 0)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)

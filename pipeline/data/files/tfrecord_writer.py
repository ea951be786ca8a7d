"""Writes Parquet files as TFRecord files of tf.Examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from ...config.errors import UserError
from .arrow_arrays import flatten_lists, is_list, is_text, to_single_array
from .layout import LogLayout
from .parquet import ParquetReader
from .tfrecord import RECORDS_PER_GROUP

_ListField = Literal["int64_list", "float_list", "bytes_list", ""]


def write_tfrecord(
    layout: LogLayout, targets: Sequence[Path], compress: bool, report_progress: Callable[[int, int], None]
) -> int:
    """Writes each file of a Parquet log to a TFRecord file.

    Args:
      layout: The log.
      targets: Where to write each of ``layout.files``.
      compress: Whether to compress the files with gzip.
      report_progress: Called repeatedly with the number of finished rows and the number of all rows.

    Returns:
      The number of rows.

    Raises:
      UserError: If a file cannot be read, or a column has no counterpart in a tf.Example.
    """
    reader = ParquetReader(layout.filesystem, None)
    total_rows = sum(sum(reader.group_rows(file)) for file in layout.files)
    finished_rows = 0
    options = tf.io.TFRecordOptions(compression_type="GZIP" if compress else "")
    for file, target in zip(layout.files, targets, strict=True):
        with tf.io.TFRecordWriter(str(target), options) as writer:
            for group in range(len(reader.group_rows(file))):
                table = reader.read_table(file, group)
                for first in range(0, table.num_rows, RECORDS_PER_GROUP):
                    part = table.slice(first, RECORDS_PER_GROUP)
                    for record in _serialize_rows(part, file):
                        writer.write(record)
                    finished_rows += part.num_rows
                    report_progress(finished_rows, total_rows)
    return total_rows


def _serialize_rows(table: pa.Table, file: str) -> Iterator[bytes]:
    """Yields each row as a serialized tf.Example."""
    columns = [
        (name, *_list_values(table.column(i), f"{file}: column '{name}'")) for i, name in enumerate(table.column_names)
    ]
    for row in range(table.num_rows):
        example = tf.train.Example()
        features = example.features.feature
        for name, field, values, ends in columns:
            feature = features[name]
            if not field:
                continue
            value_list = getattr(feature, field)
            # An empty list is also set, so that a reader knows its type.
            value_list.SetInParent()
            value_list.value.extend(values[ends[row] : ends[row + 1]])
        yield example.SerializeToString()


def _list_values(column: pa.ChunkedArray, place: str) -> tuple[_ListField, list, list[int]]:
    """Returns a column as tf.Examples store it.

    Args:
      column: The column.
      place: The file and the column, for errors.

    Returns:
      The field of tf.train.Feature ("" for a column of nulls); the values of all rows, one after the other; and where
      each row's values end, after a leading 0.
    """
    array = to_single_array(column)
    if is_list(array.type):
        values, lengths = flatten_lists(array)
        if values.null_count:
            raise UserError(
                f"{place} has lists with missing values, which a tf.Example cannot hold; fill or remove these values"
            )
    else:
        lengths = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
        values = pc.drop_null(array)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).tolist()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_null(kind):
        return "", [], ends
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        try:
            return "int64_list", pc.cast(values, pa.int64()).to_pylist(), ends
        except pa.ArrowInvalid as error:
            raise UserError(
                f"{place} has numbers beyond the range of int64, which a tf.Example cannot hold; convert them to strings"
            ) from error
    if pa.types.is_floating(kind):
        return "float_list", _to_exact_float32(values, place).tolist(), ends
    if is_text(kind):
        return "bytes_list", pc.cast(values, pa.large_binary()).to_pylist(), ends
    raise UserError(
        f"{place} has the type {column.type}, which a tf.Example cannot hold; convert it to numbers or strings"
    )


def _to_exact_float32(values: pa.Array, place: str) -> np.ndarray:
    """Returns numbers as float32. Doubles lose digits. Raises a UserError for numbers out of range and for rounded ids."""
    doubles = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        floats = doubles.astype(np.float32)
    if (np.isinf(floats) & ~np.isinf(doubles)).any():
        raise UserError(
            f"{place} has numbers beyond the range of float32, which a tf.Example cannot hold; scale or remove them"
        )
    finite = doubles[np.isfinite(doubles)]
    if (finite == np.floor(finite)).all() and (finite != finite.astype(np.float32)).any():
        raise UserError(
            f"{place} has whole numbers stored as doubles; a tf.Example holds float32, which would round them; convert the "
            "column to integers"
        )
    return floats

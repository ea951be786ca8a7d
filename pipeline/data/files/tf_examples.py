"""Converts serialized tf.Examples to Arrow columns.

A tf.Example stores every value as a list. It does not distinguish a missing value from an empty list, or a single value
from a list of one value. A feature without values therefore counts as missing, and the schema defines which columns
hold lists.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from ...config.errors import UserError
from ..tfds.features import ColumnMetadata
from .tfrecord_framing import damaged_record

_DTYPES = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
_ARROW_TYPES = {tf.int64: pa.int64(), tf.float32: pa.float32(), tf.string: pa.binary()}
_DTYPE_MISMATCH = re.compile(
    r"Key: (.*?), Index: (\d+)\.\s+Data types don't match\. Expected type: (\w+), Actual type: (\w+)"
)


def parse_example(file: str, number: int, record: bytes) -> tf.train.Example:
    """Parses one record.

    Args:
      file: The file's name, for errors.
      number: The record's number in the file, for errors.
      record: The serialized tf.Example.

    Raises:
      UserError: If the record is not a tf.Example.
    """
    try:
        return tf.train.Example.FromString(record)
    except Exception as error:  # The class depends on how protobuf was built.
        raise damaged_record(file, number, "it is not a tf.Example") from error


def feature_dtypes(example: tf.train.Example) -> dict[str, tf.DType | None]:
    """Returns the dtype of each feature of an example; None for a feature whose dtype is not set."""
    return {name: _DTYPES.get(feature.WhichOneof("kind")) for name, feature in example.features.feature.items()}


def parse_examples(
    file: str, first_record: int, records: Sequence[bytes], dtypes: Mapping[str, tf.DType]
) -> dict[str, tf.RaggedTensor]:
    """Parses many records at once.

    Args:
      file: The file's name, for errors.
      first_record: The first record's number in the file, for errors.
      records: Serialized tf.Examples.
      dtypes: The features to read and their dtypes.

    Raises:
      UserError: If a record is not a tf.Example or has a feature of another dtype.
    """
    features = {name: tf.io.RaggedFeature(dtype) for name, dtype in dtypes.items()}
    try:
        with tf.device("CPU:0"):
            return tf.io.parse_example(tf.constant(records), features)
    # TensorFlow's message contains the record's bytes, which Python may be unable to decode.
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        mismatch = _DTYPE_MISMATCH.search(str(error))
        if mismatch:
            name, index, expected, actual = mismatch.groups()
            raise UserError(
                f"{file}: column '{name}' is {expected} in the file's first records, but {actual} in record "
                f"{first_record + int(index):,}; write all records with the same type"
            ) from error
        for index, record in enumerate(records):
            parse_example(file, first_record + index, record)
        raise damaged_record(file, first_record, "it or one of the records after it is not a tf.Example") from error


def to_arrow(ragged: tf.RaggedTensor, prefer_single: bool) -> pa.Array:
    """Converts a parsed feature to an Arrow array; rows without values are null.

    Args:
      ragged: ``[rows, (values)]``.
      prefer_single: Whether to return single values if no row has more than one. Otherwise each row is a list.
    """
    values = pa.array(ragged.values.numpy(), _ARROW_TYPES[ragged.dtype])
    splits = ragged.row_splits.numpy()
    lengths = np.diff(splits)
    if prefer_single and (lengths <= 1).all():
        return values if len(values) == len(lengths) else values.take(pa.array(splits[:-1], mask=lengths == 0))
    return pa.ListArray.from_arrays(pa.array(splits), values, mask=pa.array(lengths == 0))


def simplify_table(table: pa.Table, column_metadata: Mapping[str, ColumnMetadata]) -> pa.Table:
    """Converts lists to single values if no row has more than one value, and bytes to strings if all are UTF-8.

    Args:
      table: From :meth:`.TFRecordReader.read_table` without a schema: every column holds lists, and empty lists are
        null.
      column_metadata: A column whose metadata says that it holds lists keeps them.
    """
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        keeps_lists = name in column_metadata and column_metadata[name].is_list
        if (
            not keeps_lists
            and pa.types.is_list(column.type)
            and (pc.max(pc.list_value_length(column)).as_py() or 0) <= 1
        ):
            column = pc.list_element(column, 0)
        text_type = {pa.binary(): pa.string(), pa.list_(pa.binary()): pa.list_(pa.string())}.get(column.type)
        if text_type is not None:
            with contextlib.suppress(pa.ArrowInvalid):
                column = column.cast(text_type)
        columns[name] = column
    return pa.table(columns)

"""Converts serialized tf.Examples and tf.SequenceExamples to Arrow columns.

A tf.Example stores every value as a list. It does not distinguish a missing value from an empty list, or a single value
from a list of one value. A feature without values therefore counts as missing, and the schema defines which columns
hold lists.

A tf.SequenceExample has features, its context, and lists of features, one for each step. The values of all steps of a
list form one list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from ...config.errors import UserError
from ..tfds.features import ColumnMetadata
from .tfrecord_framing import damaged_record

_DTYPES = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
_ARROW_TYPES = {tf.int64: pa.int64(), tf.float32: pa.float32(), tf.string: pa.binary()}


def parse_record(file: str, number: int, record: bytes) -> tf.train.SequenceExample:
    """Parses one tf.Example or tf.SequenceExample. The features of a tf.Example become the context.

    Args:
      file: The file's name, for errors.
      number: The record's number in the file, for errors.
      record: The serialized record.

    Raises:
      UserError: If the record is neither.
    """
    try:
        # The two messages have the same format, but a tf.Example has no lists of features.
        return tf.train.SequenceExample.FromString(record)
    except Exception as error:  # The class depends on how protobuf was built.
        raise damaged_record(file, number, "it is not a tf.Example") from error


def context_dtypes(example: tf.train.SequenceExample) -> dict[str, tf.DType | None]:
    """Returns the dtype of each feature of a record; None for a feature whose dtype is not set."""
    return {name: _find_dtype([feature]) for name, feature in example.context.feature.items()}


def list_dtypes(example: tf.train.SequenceExample) -> dict[str, tf.DType | None]:
    """Returns the dtype of each list of features of a tf.SequenceExample; None for a list without values."""
    return {name: _find_dtype(steps.feature) for name, steps in example.feature_lists.feature_list.items()}


def _find_dtype(features: Iterable[tf.train.Feature]) -> tf.DType | None:
    kinds = (feature.WhichOneof("kind") for feature in features)
    return next((_DTYPES[kind] for kind in kinds if kind), None)


def parse_records(
    file: str, first_record: int, records: Sequence[bytes], dtypes: Mapping[str, tf.DType], list_names: Collection[str]
) -> dict[str, tf.RaggedTensor]:
    """Parses many records at once.

    Args:
      file: The file's name, for errors.
      first_record: The first record's number in the file, for errors.
      records: Serialized tf.Examples or tf.SequenceExamples.
      dtypes: The features to read and their dtypes.
      list_names: Those that are lists of features of a tf.SequenceExample. The values of all steps form one list.

    Raises:
      UserError: If a record is not a tf.Example or has a feature of another dtype.
    """
    features = {name: tf.io.RaggedFeature(dtype) for name, dtype in dtypes.items()}
    try:
        with tf.device("CPU:0"):
            if not list_names:
                return tf.io.parse_example(tf.constant(records), features)
            context, lists, _ = tf.io.parse_sequence_example(
                tf.constant(records),
                {name: feature for name, feature in features.items() if name not in list_names} or None,
                {name: feature for name, feature in features.items() if name in list_names},
            )
            return context | {name: steps.merge_dims(1, 2) for name, steps in lists.items()}
    # TensorFlow's message contains the record's bytes, which Python may be unable to decode.
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        for number, record in enumerate(records, first_record):
            _check_dtypes(file, number, parse_record(file, number, record), dtypes, list_names)
        raise damaged_record(file, first_record, "it or one of the records after it is not a tf.Example") from error


def _check_dtypes(
    file: str,
    number: int,
    example: tf.train.SequenceExample,
    dtypes: Mapping[str, tf.DType],
    list_names: Collection[str],
) -> None:
    """Raises a UserError if a feature of a record has another dtype."""
    for name, expected in dtypes.items():
        steps = example.feature_lists.feature_list[name].feature if name in list_names else ()
        for feature in steps if name in list_names else [example.context.feature[name]]:
            actual = _find_dtype([feature])
            if actual not in (None, expected):
                raise UserError(
                    f"{file}: column '{name}' is {expected.name} in the file's first records, but {actual.name} in record "
                    f"{number:,}; write all records with the same type"
                )


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

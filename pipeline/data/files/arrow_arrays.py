"""Converts Arrow arrays of many types to the few NumPy forms that a ranker reads. Handles whole arrays, without loops over rows.

Shapes: R rows, W width of a feature, V distinct strings.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....models.schema import MISSING_INTEGER
from ..columns import DictionaryColumn

# Maximum bytes of a string. A decoded column reserves the length of its longest string for every row, so a single huge
# string would fill the memory.
LONGEST_STRING = 1024


def is_number(kind: pa.DataType) -> bool:
    """Returns whether a column holds single numbers or booleans."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def is_whole_decimal(kind: pa.DataType) -> bool:
    """Returns whether a column holds decimals without a fraction, as databases store large integers."""
    return pa.types.is_decimal(kind) and kind.scale <= 0


def is_text(kind: pa.DataType) -> bool:
    """Returns whether a column holds single strings, as text or as bytes."""
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def is_list(kind: pa.DataType) -> bool:
    """Returns whether a column holds lists."""
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(test(kind) for test in tests)


def to_single_array(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column as one array, without a copy if it has one chunk."""
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def fill_nulls(array: pa.Array, value: float | int | bytes) -> pa.Array:
    """Returns an array with ``value`` in place of nulls. Arrow's own function copies an array even if it has no null."""
    return pc.fill_null(array, value) if array.null_count else array


def flatten_lists(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Returns the values of all lists, one after the other, and the length of each list, int64 ``[R]``; 0 for a null.

    Raises:
      TypeError: If the array holds no lists.
    """
    if pa.types.is_null(array.type):
        return array.slice(0, 0), np.zeros(len(array), np.int64)
    if not is_list(array.type):
        raise TypeError(array.type)
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    lengths = fill_nulls(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten(), lengths


def to_float32(array: pa.Array) -> np.ndarray:
    """Returns numbers as float32 ``[R]``: NaN for a null, infinity for a number beyond the range of float32.

    Raises:
      TypeError: If the array holds no numbers.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan, np.float32)
    if not is_number(kind):
        raise TypeError(kind)
    if pa.types.is_float32(kind) and not array.null_count:
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(kind):
        # Arrow has no cast from boolean to float.
        array = pc.cast(array, pa.int8())
    doubles = pc.cast(array, pa.float64(), safe=False)
    with np.errstate(over="ignore"):
        return fill_nulls(doubles, float("nan")).to_numpy(zero_copy_only=False).astype(np.float32)


def to_int64(array: pa.Array) -> np.ndarray:
    """Returns whole numbers as int64 ``[R]``, :data:`.schema.MISSING_INTEGER` for a null.

    Raises:
      TypeError: If the array holds no numbers.
      pyarrow.ArrowInvalid: If a number is not whole.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(array), MISSING_INTEGER, np.int64)
    if pa.types.is_boolean(kind):
        array = pc.cast(array, pa.int8())
    elif pa.types.is_floating(kind):
        # pandas and others write whole numbers with nulls as floats.
        array = pc.if_else(pc.is_finite(array), array, None)
    elif is_whole_decimal(kind):
        # Arrow casts decimals to integers from 128 bits on only.
        array = pc.cast(array, pa.decimal256(76, kind.scale))
    elif not pa.types.is_integer(kind):
        raise TypeError(kind)
    if pa.types.is_uint64(kind):
        # Hashes use all 64 bits. The same bits as a signed number are the same id.
        return fill_nulls(array, 2**64 - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    return fill_nulls(pc.cast(array, pa.int64()), MISSING_INTEGER).to_numpy(zero_copy_only=False)


def to_strings(array: pa.Array) -> tuple[DictionaryColumn, np.ndarray]:
    """Returns strings as a dictionary column ``[R]``, and which rows are longer than :data:`LONGEST_STRING`, bool ``[R]``.

    A null and a string that is too long become the empty string. Whole numbers become their decimal digits.

    Raises:
      TypeError: If the array holds neither strings nor whole numbers.
      IndexError: If the array's own dictionary is damaged.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return DictionaryColumn(np.zeros(1, "S1"), np.zeros(len(array), np.int32)), np.zeros(len(array), bool)
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_text(value_type):
        if not (pa.types.is_integer(value_type) or pa.types.is_boolean(value_type) or is_whole_decimal(value_type)):
            raise TypeError(kind)
        array = pc.cast(array if value_type == kind else array.dictionary_decode(), pa.string())
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values, too_long = _decode_dictionary(array.dictionary)
    bounds = pc.min_max(array.indices)
    # Arrow does not check the indices of a file.
    if bounds["min"].is_valid and not 0 <= bounds["min"].as_py() <= bounds["max"].as_py() < len(array.dictionary):
        raise IndexError("a string's index is outside the dictionary")
    indices = fill_nulls(pc.cast(array.indices, pa.int32()), len(values) - 1).to_numpy(zero_copy_only=False)
    return DictionaryColumn(values, indices), too_long[indices]


def pad_lists(values: np.ndarray, lengths: np.ndarray, width: int, padding: float | int | bool) -> np.ndarray:
    """Returns lists as the rows of a matrix: the first ``width`` values of each, then padding.

    Args:
      values: The values of all lists, one after the other.
      lengths: The length of each list, ``[R]``.
      width: W, the columns of the matrix.
      padding: The value for the columns that a list does not reach.

    Returns:
      ``[R, W]``, of the dtype of ``values``.

    Example:
    >>> pad_lists(np.array([1, 2, 3, 4]), np.array([1, 3]), width=2, padding=-1).tolist()
    [[1, -1], [2, 3]]
    """
    if (lengths == width).all():
        return values.reshape(-1, width)
    padded = np.full((len(lengths), width), padding, values.dtype)
    if lengths.max(initial=0) > width:
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        values = values[np.arange(len(values)) - starts < width]
    # `masks` has a row for each possible length. Both sides of the assignment are in row order, so values and positions
    # match.
    masks = np.arange(width) < np.arange(width + 1)[:, None]
    padded[masks.take(lengths, axis=0, mode="clip")] = values
    return padded


def _decode_dictionary(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns distinct strings as fixed-width bytes plus one empty string at the end, and which are too long; ``[V + 1]`` each."""
    strings = fill_nulls(pc.cast(array, pa.large_binary()), b"")
    too_long = pc.greater(pc.binary_length(strings), LONGEST_STRING)
    if pc.any(too_long).as_py():
        strings = pc.if_else(too_long, b"", strings)
    if not len(strings):
        return np.zeros(1, "S1"), np.zeros(1, bool)
    _, offset_buffer, content = strings.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    letters = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.append(np.diff(offsets), 0)
    width = max(int(lengths.max()), 1)
    values = pad_lists(letters, lengths, width, 0).reshape(-1).view(f"S{width}")
    return values, np.append(too_long.to_numpy(zero_copy_only=False), False)

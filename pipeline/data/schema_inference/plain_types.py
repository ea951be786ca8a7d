"""Reduces Arrow's types to the few that the rules for columns know, or says why a ranker cannot read a type.

| plain type | of |
|---|---|
| ``bool``, ``int64``, ``uint64`` | booleans, integers, decimals without a fraction |
| ``double`` | floats, other decimals |
| ``large_binary`` | strings and bytes of any length |
| ``large_list`` of these | lists of any kind |
| ``null`` | columns without values |
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files.arrow_arrays import flatten_lists, is_list, is_number, is_text, is_whole_decimal

_TIMESTAMP = "a timestamp. Rows at serving time are later than every row in training."
_REASONS = (
    (pa.types.is_timestamp, _TIMESTAMP),
    (pa.types.is_date, "a date. Rows at serving time are later than every row in training."),
    (pa.types.is_time, "a time of day. Convert the column to numbers, such as seconds."),
    (pa.types.is_duration, "a duration. Convert the column to numbers, such as seconds."),
    (pa.types.is_struct, "a struct. Write each of its fields as a column."),
    (pa.types.is_map, "a map. Write its keys or its values as a list."),
    (pa.types.is_fixed_size_binary, "bytes of fixed length. Convert the column to strings or integers."),
)


class UnsupportedTypeError(Exception):
    """A ranker cannot read a type. The message is the reason, as text that follows a colon."""


def to_plain(array: pa.Array) -> pa.Array:
    """Returns the values of an array in a plain type.

    Raises:
      UnsupportedTypeError: If a ranker cannot read the type.

    Example:
    >>> to_plain(pa.array([1, None], pa.int8()).dictionary_encode()).type
    DataType(int64)
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return to_plain(array.dictionary_decode())
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_uint64(kind):
        return array
    if is_text(kind):
        return pc.cast(array, pa.large_binary())
    if is_whole_decimal(kind):
        return _to_whole_numbers(array)
    if is_number(kind):
        return pc.cast(array, pa.int64() if pa.types.is_integer(kind) else pa.float64(), safe=False)
    if is_list(kind):
        return _to_plain_lists(array)
    for is_kind, reason in _REASONS:
        if is_kind(kind):
            raise UnsupportedTypeError(reason)
    raise UnsupportedTypeError(f"a ranker does not read {kind}. Convert the column to numbers or strings.")


def concatenate_plain(arrays: Sequence[pa.Array]) -> pa.Array:
    """Returns the parts of a column as one array, in a plain type that holds the values of all parts.

    Raises:
      TypeError: If there is no such type, as for integers and strings.
    """
    kinds = dict.fromkeys(array.type for array in arrays if not pa.types.is_null(array.type))
    if not kinds:
        return pa.nulls(sum(map(len, arrays)))
    kind = functools.reduce(_unify, kinds)
    return pa.concat_arrays([_convert(array, kind) for array in arrays])


def _to_whole_numbers(array: pa.Array) -> pa.Array:
    try:
        return pc.cast(pc.cast(array, pa.decimal256(76, array.type.scale)), pa.int64())
    except pa.ArrowInvalid as error:
        raise UnsupportedTypeError("integers of more than 64 bits. Convert the column to strings.") from error


def _to_plain_lists(array: pa.Array) -> pa.Array:
    values, lengths = flatten_lists(array)
    if is_list(values.type):
        raise UnsupportedTypeError("lists of lists. Convert the column to flat lists.")
    try:
        plain = to_plain(values)
    except UnsupportedTypeError as error:
        reason = f"lists of {values.type}. A ranker reads lists of numbers and strings."
        raise UnsupportedTypeError(reason) from error
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, plain, mask=array.is_null())


def _unify(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if a == b:
        return a
    if pa.types.is_large_list(a) and pa.types.is_large_list(b):
        kinds = [kind.value_type for kind in (a, b) if not pa.types.is_null(kind.value_type)]
        return pa.large_list(functools.reduce(_unify, kinds) if kinds else pa.null())
    if not (is_number(a) and is_number(b)):
        raise TypeError(f"{a} and {b}")
    return pa.float64() if pa.types.is_floating(a) or pa.types.is_floating(b) else pa.int64()


def _convert(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_large_list(kind):
        values, lengths = flatten_lists(array)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        return pa.LargeListArray.from_arrays(offsets, _convert(values, kind.value_type), mask=array.is_null())
    if pa.types.is_boolean(array.type):
        # Arrow has no cast from boolean to float.
        array = pc.cast(array, pa.int8())
    return pc.cast(array, kind, safe=False)

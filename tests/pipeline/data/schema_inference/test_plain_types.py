from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.data.schema_inference.plain_types import UnsupportedTypeError, concatenate_plain, to_plain


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([1, None], pa.int8()), pa.int64(), [1, None]),
        (pa.array([2**64 - 1], pa.uint64()), pa.uint64(), [2**64 - 1]),
        (pa.array([Decimal(5)], pa.decimal32(5, 0)), pa.int64(), [5]),
        (pa.array([Decimal("5.5")], pa.decimal256(50, 1)), pa.float64(), [5.5]),
        (pa.array(np.array([1.5], np.float16)), pa.float64(), [1.5]),
        (pa.array(["a", None]).dictionary_encode(), pa.large_binary(), [b"a", None]),
        (pa.array(["a"], pa.string_view()), pa.large_binary(), [b"a"]),
        (pa.array([[1, None], None, []], pa.list_view(pa.int8())), pa.large_list(pa.int64()), [[1, None], None, []]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), pa.large_list(pa.int64()), [[1, 2], None]),
        (
            pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            pa.large_list(pa.large_binary()),
            [[b"a"]],
        ),
        (pa.array([[None]], pa.list_(pa.null())), pa.large_list(pa.null()), [[None]]),
    ],
)
def test_values_keep_their_meaning(array, kind, values):
    plain = to_plain(array)
    assert (plain.type, plain.to_pylist()) == (kind, values)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (pa.timestamp("us", "UTC"), "a timestamp."),
        (pa.date32(), "a date."),
        (pa.time32("s"), "a time of day."),
        (pa.duration("s"), "a duration."),
        (pa.struct([("a", pa.int32())]), "a struct."),
        (pa.map_(pa.string(), pa.int32()), "a map."),
        (pa.binary(16), "bytes of fixed length."),
        (pa.uuid(), "a ranker does not read extension<arrow.uuid>."),
        (pa.list_(pa.list_(pa.int32())), "lists of lists."),
        (pa.list_(pa.struct([("a", pa.int32())])), "lists of struct<a: int32>."),
        (pa.dictionary(pa.int8(), pa.timestamp("s")), "a timestamp."),
    ],
)
def test_other_types_have_a_reason(kind, reason):
    with pytest.raises(UnsupportedTypeError) as raised:
        to_plain(pa.nulls(2, kind))
    assert str(raised.value).startswith(reason)


def test_a_decimal_beyond_64_bits_has_a_reason():
    with pytest.raises(UnsupportedTypeError, match="more than 64 bits"):
        to_plain(pa.array([Decimal(10**19)], pa.decimal128(20, 0)))


@pytest.mark.parametrize(
    ("arrays", "kind"),
    [
        ([pa.array([1]), pa.array([1.5])], pa.float64()),
        ([pa.array([True]), pa.array([2])], pa.int64()),
        ([pa.nulls(1), pa.array([2])], pa.int64()),
        ([pa.nulls(1), pa.array([[1]]), pa.array([[None]], pa.list_(pa.null()))], pa.large_list(pa.int64())),
        ([pa.array([[1]]), pa.array([[1.5], None])], pa.large_list(pa.float64())),
        ([pa.nulls(2)], pa.null()),
    ],
)
def test_parts_of_a_column_get_one_type(arrays, kind):
    column = concatenate_plain([to_plain(array) for array in arrays])
    assert column.type == kind
    assert column.to_pylist() == [value for array in arrays for value in array.to_pylist()]


def test_numbers_and_strings_have_no_common_type():
    for other in (pa.array(["a"], pa.large_binary()), pa.array([[1]], pa.large_list(pa.int64()))):
        with pytest.raises(TypeError, match="int64 and large"):
            concatenate_plain([pa.array([1]), other])

"""How columns of many types become the columns that a schema describes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.data.columns import decode_columns
from steadyrank.pipeline.data.files.arrow_columns import convert_table
from tests.pipeline.data.files.parquet_log import make_table


class TestColumns:
    def test_each_column_becomes_what_the_schema_says(self, log):
        block = log({"a.parquet": make_table(8)}, periods=1).block(0, 0)
        np.testing.assert_array_equal(block["age"], np.array([np.nan, 1, 2, 3, 4, 5, 6, np.nan], np.float32))
        np.testing.assert_array_equal(block["price"], np.arange(8, dtype=np.float32) * 0.5)
        assert block["country"].tolist() == [b"", b"de", b"pl", b"de", b"pl", b"", b"pl", b"de"]
        assert block["history"].tolist()[:5] == [[-1, -1, -1], [0, -1, -1], [0, 1, -1], [0, 1, 2], [0, 1, 2]]
        assert block["scores"].tolist()[3] == [3, -3]
        assert block["click"].tolist() == [1, 0] * 4
        np.testing.assert_array_equal(
            block["minutes.label"], np.array([0, np.nan, np.nan, 3, np.nan, np.nan, 6, np.nan], np.float32)
        )
        dtypes = {name: column.dtype.kind for name, column in block.items()}
        assert dtypes == {
            "age": "f",
            "price": "f",
            "user": "i",
            "country": "S",
            "history": "i",
            "scores": "f",
            "click": "f",
            "minutes.label": "f",
        }

    @pytest.mark.parametrize(
        ("replaced", "name"),
        [
            ({"user": pa.array(np.arange(8), pa.int32())}, "user"),
            ({"user": pa.array(np.arange(8), pa.uint64())}, "user"),
            ({"user": pa.array([float(i) for i in range(8)])}, "user"),
            ({"user": pa.array(np.arange(8)).dictionary_encode()}, "user"),
            ({"age": pa.array([None, *range(1, 7), None], pa.int16())}, "age"),
            ({"age": pa.array([None, *range(1, 7), None], pa.float64()).cast(pa.decimal128(9, 2))}, "age"),
            ({"country": make_table(8)["country"].cast(pa.large_string())}, "country"),
            ({"country": make_table(8)["country"].cast(pa.binary())}, "country"),
            ({"country": make_table(8)["country"].dictionary_encode()}, "country"),
            ({"history": make_table(8)["history"].cast(pa.large_list(pa.int64()))}, "history"),
            ({"scores": pa.array([[float(i), -float(i)] for i in range(8)])}, "scores"),
            ({"click": pa.array([1, 0] * 4)}, "click"),
            ({"click": pa.array([1.0, 0.0] * 4)}, "click"),
            ({"click": pa.array(["true", " False "] * 4)}, "click"),
            ({"click": pa.array(["Y", "n"] * 4).dictionary_encode()}, "click"),
            ({"click": pa.array([b"1", b"0"] * 4)}, "click"),
            ({"user": pa.array([Decimal(i) for i in range(8)], pa.decimal128(20, 0))}, "user"),
            ({"user": pa.array([Decimal(i) for i in range(8)], pa.decimal32(5, 0))}, "user"),
            ({"country": make_table(8)["country"].cast(pa.string_view())}, "country"),
            ({"country": make_table(8)["country"].cast(pa.binary_view())}, "country"),
            ({"history": pa.array(make_table(8)["history"].to_pylist(), pa.list_view(pa.int64()))}, "history"),
        ],
    )
    def test_equal_values_of_another_type_give_equal_columns(self, log, parquet_schema_file, replaced, name):
        plain = log({"a.parquet": make_table(8)}, periods=1).block(0, 0)
        other, faults = convert_table(make_table(8, **replaced), read(Schema, parquet_schema_file), "other")
        np.testing.assert_array_equal(decode_columns(other)[name], plain[name])
        assert not faults

    @pytest.mark.parametrize(
        ("replaced", "message"),
        [
            ({"user": pa.array(["a"] * 8)}, "column 'user' should be whole numbers, but the file has string"),
            ({"user": pa.array([0.5] * 8)}, "column 'user' should be whole numbers, but the file has double"),
            ({"age": pa.array(["1"] * 8)}, "column 'age' should be numbers, but the file has string"),
            ({"country": pa.array([0.5] * 8)}, "column 'country' should be strings, but the file has double"),
            ({"history": pa.array([1] * 8)}, "column 'history' should be lists of whole numbers"),
            (
                {"click": pa.array(["yes", "maybe"] * 4)},
                "column 'click' should be a label (a number, a boolean, or one of the strings 1, true, t, yes, y, 0, false, f, "
                "no, n), but the file has the string 'maybe'",
            ),
            ({"minutes": pa.array(["1"] * 8)}, "column 'minutes' should be a label (a number or a boolean), but"),
        ],
    )
    def test_a_wrong_type_is_refused_with_file_column_and_both_types(self, log, replaced, message):
        source = log({"a.parquet": make_table(8, **replaced)}, periods=1)
        with pytest.raises(UserError, match=r"a\.parquet") as raised:
            source.block(0, 0)
        assert message in str(raised.value)

    def test_a_missing_column_is_refused_with_the_columns_of_the_file(self, log):
        source = log({"a.parquet": make_table(8).drop_columns(["answered"])}, periods=1)
        with pytest.raises(
            UserError, match=r"column 'answered', the mask of task 'minutes', is missing; the file has age, "
        ):
            source.block(0, 0)
        named = make_table(8).rename_columns(
            [name.replace("answered", "Answered") for name in make_table(8).column_names]
        )
        with pytest.raises(UserError, match=r"is missing; the file has age.*; did you mean 'Answered'\?"):
            log({"a.parquet": named}, periods=1).block(0, 0)
        with pytest.raises(UserError, match=r"is missing; the file has other, too"):
            log({"a.parquet": pa.table({"other": [1], "too": [2]})}, periods=1).block(0, 0)


def test_a_list_of_one_number_is_a_number_and_a_column_of_nulls_has_empty_bags():
    features = (Feature("x", "numerical", default=0.0), Feature("bag", "bag", num_ids=9, width=2))
    table = pa.table({"x": pa.array([[1.5], None, [None], [1, 2]], pa.list_(pa.float64())), "bag": pa.nulls(4)})
    columns, masks = convert_table(
        table.append_column("y", [[0, 1, 0, 1]]), Schema(features, (Task("y", "binary"),)), ""
    )
    np.testing.assert_array_equal(columns["x"], np.array([1.5, np.nan, np.nan, 1], np.float32))
    assert columns["bag"].tolist() == [[-1, -1]] * 4
    assert {reason: rows.tolist() for reason, rows in masks.faulty.items()} == {
        "x: not 1 number": [False, False, False, True]
    }


def test_an_empty_string_is_a_missing_label():
    table = pa.table({"x": [1.0] * 3, "y": ["no", "", None]})
    columns, masks = convert_table(table, Schema((Feature("x", "numerical"),), (Task("y", "binary"),)), "")
    np.testing.assert_array_equal(columns["y"], [0, np.nan, np.nan])
    assert not masks


def test_a_binary_label_can_be_a_threshold_of_a_number():
    tasks = (
        Task("stars", "regression"),
        Task("like", "binary", "stars", label_threshold=3),
        Task("hit", "binary", "stars", mask="on", label_threshold=4),
    )
    table = pa.table({"a": [1.0] * 4, "stars": [3, 4, None, 5], "on": [True, False, True, True]})
    columns, masks = convert_table(table, Schema((Feature("a", "numerical"),), tasks), "here")
    assert not masks
    np.testing.assert_array_equal(columns["stars"], [3, 4, np.nan, 5])
    np.testing.assert_array_equal(columns["like.label"], [0, 1, np.nan, 1])
    np.testing.assert_array_equal(columns["hit.label"], [0, np.nan, np.nan, 1])
    for wrong in (("t", "regression", "", 1.0, "", 3.0), ("t", "binary", "", 1.0, "", float("nan"))):
        with pytest.raises(
            ValueError, match=r"label_threshold (is allowed for binary tasks only|must be a finite number)"
        ):
            Task(*wrong)

"""How columns of many types become the columns that a schema describes."""

from __future__ import annotations

import dataclasses
import datetime
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.columns import decode_columns
from steadyrank.pipeline.data.files.arrow_columns import convert_table
from steadyrank.pipeline.data.files.log import FileLog
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
        with pytest.raises(UserError, match=r"a\.parquet") as raised:
            log({"a.parquet": make_table(8, **replaced)}, periods=1).block(0, 0)
        assert message in str(raised.value)

    def test_a_missing_column_is_refused_with_the_columns_of_the_file(self, log):
        with pytest.raises(
            UserError, match=r"column 'answered', the mask of task 'minutes', is missing; the file has age, "
        ):
            log({"a.parquet": make_table(8).drop_columns(["answered"])}, periods=1)
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


_DAY = datetime.datetime(2026, 11, 1)


class TestMasksAndLabels:
    def _convert(self, task: Task, **columns: pa.Array):
        table = pa.table({"x": pa.array(np.zeros(len(next(iter(columns.values()))))), **columns})
        return convert_table(table, Schema((Feature("x", "numerical"),), (task,)), "a.parquet")

    @pytest.mark.parametrize(
        ("mask", "has_label"),
        [
            (pa.array([1.0, 0.5, 0.0, None, np.nan]), [1, 1, 0, 0, 0]),
            (pa.array([True, None, False]), [1, 0, 0]),
            (pa.array([2, 0, -1], pa.int8()).dictionary_encode(), [1, 0, 1]),
            (pa.array(["yes", "FALSE", "1", "", None]), [1, 0, 1, 0, 0]),
            (pa.nulls(2), [0, 0]),
        ],
    )
    def test_a_mask_of_any_suitable_type_marks_the_rows_with_a_label(self, mask, has_label):
        columns, masks = self._convert(Task("y", "binary", mask="m"), y=pa.array(np.ones(len(mask))), m=mask)
        np.testing.assert_array_equal(columns["y.label"], np.where(has_label, 1.0, np.nan))
        assert not masks

    @pytest.mark.parametrize(
        ("mask", "received"),
        [
            (pa.array([_DAY] * 2), r"timestamp\[us\]"),
            (pa.array(["seen", "no"]), "the string 'seen'"),
            (pa.array([[1], [0]]), r"list<"),
        ],
    )
    def test_a_mask_of_another_type_is_named_with_its_task_and_not_the_label(self, mask, received):
        with pytest.raises(UserError) as raised:
            self._convert(Task("y", "binary", mask="m"), y=pa.array([0, 1]), m=mask)
        assert re.search(
            rf"column 'm', the mask of task 'y', should be true where.*but the file has {received}", str(raised.value)
        )

    @pytest.mark.parametrize(
        ("label", "expected", "faulty"),
        [
            (pa.array([0, 2]), [0, 2], [False, True]),
            (pa.array([-1, 1]), [-1, 1], [True, False]),
            (pa.array(np.array([0, 1, np.nan], np.float16)), [0, 1, np.nan], None),
            (pa.array([True, None]), [1, np.nan], None),
            (pa.array([Decimal("1"), Decimal("0")]), [1, 0], None),
        ],
    )
    def test_a_binary_label_other_than_0_to_1_is_a_fault(self, label, expected, faulty):
        columns, masks = self._convert(Task("y", "binary"), y=label)
        np.testing.assert_array_equal(columns["y"], np.array(expected, np.float32))
        assert {reason: mask.tolist() for reason, mask in masks.faulty.items()} == (
            {"y: out of range": faulty} if faulty else {}
        )

    def test_a_regression_label_whose_square_overflows_is_a_fault(self):
        _, masks = self._convert(Task("y", "regression"), y=pa.array([1e15, 3e38, -3e38, np.inf, np.nan, 1e39]))
        assert masks.faulty["y: out of range"].tolist() == [False, True, True, True, False, True]


@pytest.mark.parametrize(
    ("feature", "column", "expected"),
    [
        (Feature("a", "numerical", width=2), pa.array([[Decimal("1.5"), Decimal("2")]]), [[1.5, 2.0]]),
        (Feature("a", "bag", width=2, num_ids=5), pa.array([[Decimal("3")]]), [[3, -1]]),
        (Feature("a", "bag", "string", width=2, hash_buckets=5), pa.array([[Decimal("3")]]), [[b"3", b""]]),
        (Feature("a", "categorical", "string", hash_buckets=5), pa.array([Decimal("3"), None]), [b"3", b""]),
        (Feature("a", "bag", width=2, num_ids=5), pa.array([[], None], pa.list_(pa.null())), [[-1, -1], [-1, -1]]),
        (Feature("a", "bag", "string", width=2, hash_buckets=5), pa.nulls(2), [[b"", b""], [b"", b""]]),
        (Feature("a", "bag", width=3, num_ids=5), pa.array([[-5, 99, None]]), [[-5, 99, -1]]),
        (
            Feature("a", "bag", "string", width=2, hash_buckets=5),
            pa.array([["a"], ["b", "a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            [[b"a", b""], [b"b", b"a"]],
        ),
        (Feature("a", "bag", "string", width=2, hash_buckets=5), pa.array([[b"\xff", b"a"]]), [[b"\xff", b"a"]]),
        (Feature("a", "numerical"), pa.array(np.array([1, 2], np.float16)), [1.0, 2.0]),
    ],
)
def test_unusual_but_suitable_values_are_read(feature, column, expected):
    table = pa.table({"a": column, "y": pa.array(np.zeros(len(column)))})
    columns, masks = convert_table(table, Schema((feature,), (Task("y", "binary"),)), "a.parquet")
    assert decode_columns(columns)["a"].tolist() == expected
    assert not masks


def test_a_number_that_is_not_whole_is_named():
    table = pa.table({"a": [1.0, 3.5], "y": [0, 1]})
    schema = Schema((Feature("a", "categorical", num_ids=5),), (Task("y", "binary"),))
    with pytest.raises(UserError, match=r"column 'a' should be whole numbers, but the file has double \(.*3\.5"):
        convert_table(table, schema, "a.parquet")


@pytest.mark.parametrize("clamp", [False, True])
def test_a_number_that_no_ranker_can_compute_with_is_a_fault(clamp):
    table = pa.table({"a": [1.0, 3e38, -1e20, 1e17, None], "y": [0, 1, 0, 1, 0]})
    feature, task = Feature("a", "numerical", default=0.0), Task("y", "binary")
    _, masks = convert_table(table, Schema((feature,), (task,)), "a.parquet", clamp)
    assert {reason: mask.tolist() for reason, mask in masks.faulty.items()} == {
        "a: out of range": [False, True, True, False, False]
    }
    for other in (
        dataclasses.replace(feature, normalization="log"),
        dataclasses.replace(feature, minimum=0, maximum=9),
    ):
        columns, masks = convert_table(table, Schema((other,), (task,)), "a.parquet", clamp=True)
        assert not masks.faulty
        assert np.isfinite(columns["a"][:4]).all()


class TestExampleWeights:
    SCHEMA = Schema(
        (Feature("x", "numerical"),),
        (Task("y", "binary", example_weight="w"), Task("z", "regression", example_weight="w", mask="on")),
    )

    def _convert(self, weights: pa.Array, clamp: bool = False):
        rows = len(weights)
        table = pa.table({"x": [1.0] * rows, "y": [1.0] * (rows - 1) + [None], "z": [2.0] * rows, "w": weights})
        return convert_table(table.append_column("on", [[0] * rows]), self.SCHEMA, "a.parquet", clamp)

    @pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.decimal128(23, 2)])
    def test_a_weight_of_0_takes_the_label_away(self, kind):
        columns, masks = self._convert(pa.array([2, 0, 1000, None]).cast(kind))
        np.testing.assert_array_equal(columns["w"], np.array([2, 0, 1000, np.nan], np.float32))
        np.testing.assert_array_equal(columns["y.label"], [1, np.nan, 1, np.nan])
        np.testing.assert_array_equal(columns["z.label"], [np.nan] * 4)
        assert columns["y.label"].dtype == np.float32
        assert not masks

    @pytest.mark.parametrize("clamp", [False, True])
    def test_a_weight_that_is_no_number_of_0_or_more_is_a_fault(self, clamp):
        _, masks = self._convert(pa.array([-0.5, np.nan, None, np.inf, -np.inf, 2e9, 0.0, 1e9, None]), clamp)
        assert {reason: np.flatnonzero(rows).tolist() for reason, rows in masks.faulty.items()} == {
            "w: out of range": [0, 5],
            "w: not finite": [1, 2, 3, 4],
        }
        assert not masks.clamped

    def test_a_faulty_row_is_named_with_the_column_and_the_value(self, tmp_path):
        table = pa.table({"x": [1.0, 2.0], "y": [1.0, 0.0], "z": [2.0, 2.0], "w": [1.0, -3.0], "on": [1, 1]})
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(UserError, match=r"a\.parquet, row 1: w: out of range \(-3\); 1 of 2 rows"):
            FileLog(Files(path=str(tmp_path), periods=1), self.SCHEMA).block(0, 0)
        settings = Files(path=str(tmp_path), periods=1, on_invalid="skip", max_invalid_share=0.5)
        block = FileLog(settings, self.SCHEMA).block(0, 0)
        np.testing.assert_array_equal(block["y.label"], [1, np.nan])
        np.testing.assert_array_equal(block["w"], [1, 0])

    def test_a_column_that_is_missing_or_holds_no_numbers_is_refused(self):
        with pytest.raises(
            UserError, match="column 'w', the example_weight of task 'y', should be numbers, but the file has"
        ):
            self._convert(pa.array(["a", "b"]))
        table = pa.table({"x": [1.0], "y": [1.0], "z": [1.0], "on": [1]})
        with pytest.raises(UserError, match="column 'w', the example_weight of task 'y', is missing"):
            convert_table(table, self.SCHEMA, "a.parquet")

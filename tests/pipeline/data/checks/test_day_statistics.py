from __future__ import annotations

import math

import numpy as np
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data.checks.day_statistics import ColumnStatistics, compute_column_statistics
from steadyrank.pipeline.data.columns import DictionaryColumn

TASKS = (Task("click", "binary"),)


def compute(feature: Feature, *columns: np.ndarray | DictionaryColumn) -> ColumnStatistics:
    blocks = [{feature.name: column, "click": np.zeros(1, np.float32)} for column in columns]
    return compute_column_statistics(blocks, Schema((feature,), TASKS))[feature.name]


def test_numbers_have_mean_deviation_and_missing_share():
    statistics = compute(Feature("x", "numerical", default=0.0), np.array([1.0, 3.0]), np.array([np.nan, np.inf]))
    assert statistics == ColumnStatistics(4, 0.25, 2.0, 1.0)
    assert statistics.to_dict() == {"missing": 0.25, "mean": 2.0, "deviation": 1.0}


def test_a_row_of_a_vector_is_missing_if_any_of_its_numbers_is():
    statistics = compute(Feature("x", "numerical", width=2, default=0.0), np.array([[1.0, np.nan], [1.0, 1.0]]))
    assert statistics.missing == 0.5


def test_log_features_have_the_mean_of_signed_logarithms():
    statistics = compute(Feature("x", "numerical", normalization="log"), np.array([-3.0, 3.0, 7.0, 7.0]))
    assert statistics.mean == pytest.approx(math.log(8) / 2)
    assert statistics.is_log_scale


def test_a_column_without_finite_values_has_no_mean():
    statistics = compute(Feature("x", "numerical", default=0.0), np.array([np.nan, np.nan]))
    assert statistics.to_dict() == {"missing": 1.0}


def test_ids_have_their_most_frequent_values_in_order():
    statistics = compute(Feature("x", "categorical", hash_buckets=10), np.array([7, 5, 5, -1]), np.array([7, 3]))
    assert statistics.top == {5: 0.4, 7: 0.4, 3: 0.2}
    assert list(statistics.top) == [5, 7, 3]
    assert (statistics.missing, statistics.distinct, statistics.unknown) == (pytest.approx(1 / 6), 3, None)
    assert statistics.to_dict() == {"missing": pytest.approx(1 / 6), "distinct": 3}


@pytest.mark.parametrize(
    ("encoding", "unknown"), [({"num_ids": 6}, 0.25), ({"vocabulary": (5,)}, 0.5), ({"vocabulary_size": 9}, None)]
)
def test_ids_outside_the_vocabulary_or_range_are_counted(encoding, unknown):
    statistics = compute(Feature("x", "categorical", **encoding), np.array([5, 5, 2, 9]))
    assert statistics.unknown == unknown


def test_dictionary_columns_count_as_their_strings():
    feature = Feature("x", "bag", dtype="string", width=2, vocabulary=("a",))
    column = DictionaryColumn(
        np.array([b"a", b"b", b"unused", b""], object), np.array([[0, 1], [0, 3], [3, 3]], np.int32)
    )
    statistics = compute(feature, column)
    assert statistics.top == {b"a": pytest.approx(2 / 3), b"b": pytest.approx(1 / 3)}
    # A bag is missing if none of its places has a value.
    assert statistics.missing == pytest.approx(1 / 3)
    assert statistics.unknown == pytest.approx(1 / 3)


def test_a_derived_label_has_its_tasks_name():
    schema = Schema(
        (Feature("x", "numerical"),),
        (Task("late", "binary", label="delay", label_threshold=15.0), Task("delay", "regression")),
    )
    block = {"x": np.ones(2)} | {task.label_column: np.array([0.0, 1.0]) for task in schema.tasks}
    assert list(compute_column_statistics([block], schema)) == ["x", "late", "delay"]

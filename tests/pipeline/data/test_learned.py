from __future__ import annotations

import numpy as np

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data.learned import learn_statistics


class Table:
    """One day of the given columns, in blocks of two rows."""

    def __init__(self, schema: Schema, **columns):
        self.schema = schema
        self.days = ["day"]
        self._columns = {name: np.asarray(values, np.float32) for name, values in columns.items()}

    def block_rows(self, day):
        return [2] * (len(next(iter(self._columns.values()))) // 2)

    def block(self, day, index):
        return {name: values[2 * index : 2 * index + 2] for name, values in self._columns.items()}


def learned(normalization="standard", width=1, rows=100, labels=(0, 0, 0, 1), kind="binary", **columns):
    schema = Schema((Feature("x", "numerical", width=width, normalization=normalization),), (Task("t", kind),))
    return learn_statistics(Table(schema, t=labels, **columns), rows)


def test_mean_and_deviation_by_hand():
    statistics = learned(x=[1, 3, 5, 7])
    np.testing.assert_allclose(statistics.mean["x"], [4.0])
    np.testing.assert_allclose(statistics.deviation["x"], [np.sqrt(5.0)])
    assert statistics.label_mean == {"t": 0.25}


def test_columns_of_a_vector_are_apart():
    statistics = learned(x=[[0, 10], [2, 30], [0, 10], [2, 30]], width=2)
    np.testing.assert_allclose(statistics.mean["x"], [1.0, 20.0])
    np.testing.assert_allclose(statistics.deviation["x"], [1.0, 10.0])


def test_logarithms_are_taken_first():
    e = np.e - 1
    statistics = learned("log", x=[e, -e, e, -e])
    np.testing.assert_allclose(statistics.mean["x"], [0.0], atol=1e-7)
    np.testing.assert_allclose(statistics.deviation["x"], [1.0], rtol=1e-6)


def test_only_the_first_rows_are_read():
    assert learned(x=[1, 3, 100, 100], rows=2).mean["x"] == [2.0]
    assert learned(x=[1, 3, 5, 100], rows=3).mean["x"] == [3.0]


def test_what_is_not_finite_is_left_out():
    statistics = learned(x=[1, np.nan, 3, np.inf], labels=[np.nan, 1, 0, np.nan])
    np.testing.assert_allclose(statistics.mean["x"], [2.0])
    np.testing.assert_allclose(statistics.deviation["x"], [1.0])
    assert statistics.label_mean == {"t": 0.5}


def test_what_does_not_vary_passes_unscaled():
    assert learned(x=[0, 0, 0, 0]).deviation["x"] == [1.0]
    assert learned(x=[1e6, 1e6, 1e6, 1e6]).deviation["x"] == [1.0]
    nothing = learned(x=[np.nan] * 4)
    assert (nothing.mean["x"], nothing.deviation["x"]) == ([0.0], [1.0])


def test_a_task_without_labels_has_no_mean():
    assert learned(x=[1, 2, 3, 4], labels=[np.nan] * 4, kind="regression").label_mean == {}

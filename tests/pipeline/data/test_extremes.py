from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.models.keras2 import tf_keras
from steadyrank.pipeline.data import Source
from steadyrank.pipeline.data.extremes import ValueRange
from steadyrank.pipeline.data.feature_statistics import compute_statistics

ROWS, BLOCK = 6000, 500


class Log(Source):
    """Two days of rows with the feature ``x``, the feature ``y`` and the label ``click``."""

    days = ("day=1", "day=2")

    def __init__(self, columns, cache=None, **feature):
        self.schema = Schema(
            (Feature("x", "numerical", **feature), Feature("y", "numerical")), (Task("click", "binary"),)
        )
        self.columns, self._cache = columns, cache

    def fingerprint(self, days):
        return self._cache

    def block_rows(self, day):
        return [BLOCK] * (ROWS // BLOCK // 2)

    def block(self, day, index):
        first = day * ROWS // 2 + index * BLOCK
        return {name: values[first : first + BLOCK] for name, values in self.columns.items()}


def make_columns(x=None, cells=()):
    rng = np.random.default_rng(0)
    values, other = rng.normal(size=(2, ROWS)).astype(np.float32)
    click = (rng.random(ROWS) < 1 / (1 + np.exp(-2 * values))).astype(np.float32)
    x = values if x is None else np.array(x, np.float32)
    for row, value in cells:
        x[row] = value
    return {"x": x, "y": other, "click": click}


def compute(columns, **feature):
    return compute_statistics(Log(columns, **feature), 0, (0, 1))


def train_auc(columns, computed):
    ranker = MultitaskRanker(computed.schema, computed.statistics, shared_units=(16,), tower_units=())
    optimizer = tf_keras.optimizers.Adam(0.01)
    tensors = {name: tf.constant(values) for name, values in columns.items()}
    ranker(tensors)

    @tf.function
    def step(first):
        batch = {name: values[first : first + BLOCK] for name, values in tensors.items()}
        with tf.GradientTape() as tape:
            loss = ranker.compute_loss(batch, training=True)
        gradients = tape.gradient(loss, ranker.trainable_variables)
        optimizer.apply_gradients(zip(gradients, ranker.trainable_variables, strict=True))

    for _ in range(5):
        for first in range(0, ROWS, BLOCK):
            step(tf.constant(first))
    metric = tf_keras.metrics.AUC()
    metric.update_state(tensors["click"], tf.reshape(ranker(tensors)["click"], [-1]))
    return float(metric.result())


@pytest.mark.parametrize(
    "cells", [[(10, 1e12), (4000, 1e12)], [(10, 1e15), (4000, -1e15)], [(5, 3e38), (9, -3e38)], [(0, 1e5)]]
)
def test_a_few_extremes_do_not_move_the_statistics(cells):
    clean, spoiled = compute(make_columns()), compute(make_columns(cells=cells))
    np.testing.assert_allclose(spoiled.statistics.deviation["x"], clean.statistics.deviation["x"], rtol=0.01)
    np.testing.assert_allclose(spoiled.statistics.mean["x"], clean.statistics.mean["x"], atol=0.01)
    assert spoiled.statistics.deviation["y"] == clean.statistics.deviation["y"]
    by_name = {feature.name: feature.bounds for feature in spoiled.schema.features}
    assert by_name["y"] == (-np.inf, np.inf)
    assert -1000 < by_name["x"][0] < -400
    assert 400 < by_name["x"][1] < 1000


def test_the_remark_names_column_days_rows_and_value():
    columns = make_columns(cells=[(10, 1e12), (11, 3e11), (4000, -1e13)])
    columns["v"] = columns["x"]
    [remark] = compute(columns, column="v").remarks
    assert remark.startswith(
        "x: column 'v' has values far from all others in 3 rows (day=1: 2, day=2: 1), such as -1e+13. Mean and deviation"
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=ROWS),
        lambda rng: rng.lognormal(0, 3, ROWS),
        lambda rng: rng.standard_t(2, ROWS),
        lambda rng: rng.normal(size=ROWS) + 1e9,
        lambda rng: (rng.random(ROWS) < 0.0005) * 5000.0,
        lambda rng: (rng.random(ROWS) < 0.02) * rng.lognormal(3, 2, ROWS),
        lambda rng: np.full(ROWS, np.nan),
    ],
    ids=["normal", "lognormal", "student", "offset", "rare", "zeros", "missing"],
)
def test_long_tails_and_rare_values_are_no_extremes(draw):
    columns = make_columns(draw(np.random.default_rng(1)))
    computed = compute(columns)
    assert computed.remarks == ()
    assert computed.schema == Log(columns).schema


def test_given_bounds_and_defaults_stay_inside():
    columns = make_columns(cells=[(10, 1e12)])
    assert compute(columns, minimum=-9.0).schema.features[0].minimum == -9.0
    assert compute(columns, default=-1e6).schema.features[0].minimum == -1e6
    both = compute(columns, minimum=-9.0, maximum=1e13)
    assert both.remarks == ()
    assert both.schema == Log(columns, minimum=-9.0, maximum=1e13).schema
    assert compute(columns, normalization="log").remarks == ()


def test_the_cache_keeps_bounds_and_remarks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    log = Log(make_columns(cells=[(10, 1e12)]), cache="a")
    first = compute_statistics(log, 0, (0, 1))
    log.columns = {}
    second = compute_statistics(log, 0, (0, 1))
    assert second.schema == first.schema
    assert second.remarks == first.remarks != ()


def test_the_sample_of_a_long_log_is_bounded_and_even():
    value_range = ValueRange(Feature("x", "numerical"))
    for first in range(0, 300_000, 777):
        value_range.add(np.arange(first, first + 777, dtype=np.float32))
    assert len(value_range._sample) <= 1 << 14
    assert set(np.diff(value_range._sample[:, 0])) == {float(value_range._stride)}
    value_range.add(np.array([1e12]))
    low, high = value_range.find_limits()
    assert low == pytest.approx(-100 * 300_000, rel=0.01)
    assert high == pytest.approx(101 * 300_000, rel=0.01)


def test_a_model_trains_as_well_as_without_extremes():
    clean = make_columns()
    spoiled = make_columns(cells=[(10, 1e12), (4000, 1e12)])
    tf_keras.utils.set_random_seed(0)
    expected = train_auc(clean, compute(clean))
    tf_keras.utils.set_random_seed(0)
    computed = compute(spoiled)
    auc = train_auc(spoiled, computed)
    assert expected > 0.8
    assert auc == pytest.approx(expected, abs=0.02)
    # The ranker, and so the export, clips a number beyond the bounds.
    ranker = MultitaskRanker(computed.schema, statistics=computed.statistics)
    bound = np.float32(computed.schema.features[0].maximum)
    rows = {"x": tf.constant([1e30, bound], tf.float32), "y": tf.zeros(2)}
    first, second = np.ravel(ranker(rows)["click"])
    assert np.isfinite(first)
    assert first == second
    assert dataclasses.replace(computed.schema.features[0], minimum=None, maximum=None) == Log(clean).schema.features[0]

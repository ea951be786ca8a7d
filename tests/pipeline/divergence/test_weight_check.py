"""Weights that are not finite are found, whatever hides them from the loss."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import ClippyAdagrad
from steadyrank.pipeline.divergence import Diverged, DivergenceMonitor, weight_check
from steadyrank.pipeline.divergence.weight_check import WeightCheck, has_finite_state
from tests.pipeline.divergence.conftest import KERAS_VERSIONS

ROWS = 16


def make_data(steps: int, bad_step: int, place: str, value: float):
    """Makes batches of 16 rows with one bad cell in one step."""
    x = np.random.default_rng(0).normal(size=(ROWS * steps, 4)).astype(np.float32)
    y = (x.sum(axis=1, keepdims=True) > 0).astype(np.float32)
    weights = np.ones(len(x), np.float32)
    {"feature": x[:, 1], "label": y[:, 0], "weight": weights}[place][ROWS * (bad_step - 1) + 5] = value
    return x, y, weights


def fit(library, monitor, data, optimizer="adam", activation="relu", **compile_arguments):
    library.utils.set_random_seed(0)
    model = library.Sequential(
        [library.Input((4,)), library.layers.Dense(8, activation, name="hidden"), library.layers.Dense(1, "sigmoid")]
    )
    model.compile(optimizer, "binary_crossentropy", **compile_arguments)
    x, y, weights = data
    try:
        model.fit(x, y, ROWS, sample_weight=weights, shuffle=False, verbose=0, callbacks=[monitor])
    except Diverged:
        return model, True
    return model, False


@pytest.mark.parametrize(
    ("version", "optimizer", "activation", "place", "value", "bad_step", "arguments"),
    [
        ("keras2", "adam", "relu", "feature", np.nan, 3, {}),
        ("keras2", "sgd", "tanh", "label", np.nan, 40, {"run_eagerly": True}),
        ("keras2", "rmsprop", "relu", "weight", np.nan, 7, {"jit_compile": True}),
        ("keras3", "sgd", "relu", "feature", np.inf, 20, {"steps_per_execution": 4}),
    ],
)
def test_one_bad_cell_is_a_full_divergence(version, optimizer, activation, place, value, bad_step, arguments):
    keras_version = KERAS_VERSIONS[version]
    monitor = keras_version.monitor_class(on_full="raise")
    model, has_raised = fit(
        keras_version.library, monitor, make_data(40, bad_step, place, value), optimizer, activation, **arguments
    )
    assert not all(np.isfinite(weights).all() for weights in model.get_weights())
    assert has_raised
    [event] = [event for event in monitor.events if event.kind == "full_divergence"]
    assert (event.layer, event.task, event.values["since"]) == ("hidden", "", bad_step)
    assert event.step == min(-(-bad_step // 16) * 16, 40)
    assert (monitor.verdict, monitor.health, monitor.out_of_range_since) == ("full", "full", bad_step)


def test_without_probes_the_weights_are_read():
    monitor = DivergenceMonitor(probes=False, on_full="raise")
    assert fit(tf_keras, monitor, make_data(40, 20, "feature", np.nan))[1]
    [event] = [event for event in monitor.events if event.kind == "full_divergence"]
    # The step itself is not measured, so the window counts.
    assert (event.step, event.values["since"]) == (32, 17.0)


def test_an_optimizer_that_skips_the_gradient_keeps_the_weights():
    monitor = DivergenceMonitor(on_full="raise")
    model, has_raised = fit(tf_keras, monitor, make_data(40, 20, "feature", np.nan), ClippyAdagrad(0.1))
    assert not has_raised
    assert monitor.verdict == "healthy"
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_rollback_restores_finite_weights():
    monitor = DivergenceMonitor(on_full="rollback")
    model, _ = fit(tf_keras, monitor, make_data(40, 20, "feature", np.nan))
    [rollback] = [event for event in monitor.events if event.kind == "rollback"]
    assert (rollback.step, rollback.values["restored_step"]) == (32, 16.0)
    assert monitor.verdict == "micro"
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


class Table(tf_keras.Model):
    """A table of 1,000 rows, moving averages, and a mask with infinite cells."""

    def __init__(self):
        super().__init__()
        self.table = tf_keras.layers.Embedding(1000, 4, name="table")
        self.norm = tf_keras.layers.BatchNormalization(name="norm")
        self.mask = self.add_weight("mask", (2,), initializer=tf_keras.initializers.Constant(-np.inf), trainable=False)

    def call(self, ids):
        return self.norm(self.table(ids))


@pytest.fixture
def table(monkeypatch) -> Table:
    monkeypatch.setattr(weight_check, "_PART_CELLS", 400)
    model = Table()
    model.compile("sgd", "mse")
    model(tf.constant([1]))
    return model


def test_a_large_table_is_read_in_parts_and_whole(table):
    check = WeightCheck()
    check.begin(table)
    assert check.find_broken_layers(table, read_all=True) == []
    table.table.embeddings.scatter_nd_update([[850]], [[np.nan] * 4])
    assert check.find_broken_layers(table, read_all=True) == ["table"]
    assert not has_finite_state(table)
    # Ten parts of a hundred rows.
    found = [check.find_broken_layers(table, read_all=False) for _ in range(20)]
    assert sum(map(bool, found)) == 2


def test_moving_averages_count_and_constants_do_not(table):
    check = WeightCheck()
    check.begin(table)
    assert has_finite_state(table)
    table.norm.moving_mean.assign([np.nan] * 4)
    assert check.find_broken_layers(table, read_all=False) == ["norm"]
    assert not has_finite_state(table)

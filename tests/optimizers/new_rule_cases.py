"""Tests that a rule works after adding only its file. test_new_rule.py runs this file with the rule of new_rule.py added."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.distribute.sharded_variable import ShardedVariable

from steadyrank.optimizers import RULES, Adagrad, keras3
from steadyrank.optimizers.rules_table import format_rules_table
from steadyrank.pipeline.config import Config, build
from steadyrank.pipeline.training.build import make_optimizer

ETA, C, EPSILON, START = 0.3, 0.05, 1e-7, 0.1
AXES = {"variable": None, "row": 1, "unit": 0}
NAMES = ("matrix", "table")
ROWS = [4, 1, 4, 0]
"""The rows of the table that each gradient touches, one of them twice."""


class Reference:
    """The rule in NumPy: ``sigma = min(1, c / mean_i |r_i|)`` for a matrix and a table with sparse gradients."""

    def __init__(self, weights, granularity):
        self.weights = [w.astype(np.float64) for w in weights]
        self.accumulators = [np.full(w.shape, START) for w in weights]
        self.granularity = granularity
        self.sigmas = []

    def step(self, matrix_gradient, table_values):
        rows, positions = np.unique(ROWS, return_inverse=True)
        summed = np.zeros((len(rows), table_values.shape[1]))
        np.add.at(summed, positions, table_values)
        touched, directions = [..., rows], []
        for accumulator, where, g in zip(self.accumulators, touched, (matrix_gradient, summed), strict=True):
            accumulator[where] += g**2
            directions.append(g / np.sqrt(accumulator[where] + EPSILON))
        self.sigmas = [self._sigma(r, directions) for r in directions]
        for w, where, r, sigma in zip(self.weights, touched, directions, self.sigmas, strict=True):
            w[where] -= ETA * sigma * r

    def _sigma(self, r, directions):
        if self.granularity == "global":
            mean = np.concatenate([np.abs(each).ravel() for each in directions]).mean()
        else:
            mean = np.abs(r).mean(axis=AXES[self.granularity], keepdims=self.granularity != "variable")
        return np.minimum(1.0, C / mean)


def make_gradients(steps):
    rng = np.random.default_rng(3)
    for _ in range(steps):
        scale = 10.0 ** rng.uniform(-2, 2)
        yield scale * rng.normal(size=(6, 3)), rng.normal(size=(len(ROWS), 2))


def make_weights():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(6, 3)), rng.normal(size=(5, 2))]


def to_rows(values):
    return tf.IndexedSlices(tf.cast(values, tf.float32), tf.constant(ROWS), (5, 2))


def assert_equal(variables, reference):
    for name, variable, expected in zip(NAMES, variables, reference.weights, strict=True):
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_rule_is_found_under_the_name_of_its_module():
    assert RULES["new_mean"].__name__ == "NewMeanClipping"
    assert "| `new_mean` | `NewMeanClipping` | min(1, c / mean \\|r\\|) | the step |" in format_rules_table()


@pytest.mark.parametrize("granularity", RULES["new_mean"].granularities)
@pytest.mark.parametrize("in_a_graph", [False, True])
def test_keras_2_trains_dense_and_sparse_variables_with_the_rule(granularity, in_a_graph):
    reference = Reference(make_weights(), granularity)
    variables = [tf.Variable(w, dtype=tf.float32, name=name) for w, name in zip(make_weights(), NAMES, strict=True)]
    optimizer = Adagrad(ETA, RULES["new_mean"](C, granularity), explain=True)
    optimizer.build(variables)

    def step(matrix_gradient, table_values):
        optimizer.apply_gradients(zip([matrix_gradient, to_rows(table_values)], variables, strict=True))

    step = tf.function(step) if in_a_graph else step
    for matrix_gradient, table_values in make_gradients(5):
        step(tf.constant(matrix_gradient, tf.float32), tf.constant(table_values, tf.float32))
        reference.step(matrix_gradient, table_values)
        assert_equal(variables, reference)
        factors = [float(factor) for factor in optimizer.clipping_factors]
        assert factors == pytest.approx([sigma.min() for sigma in reference.sigmas], rel=1e-4)
    assert min(factors) < 0.5


def test_keras_2_takes_the_rule_by_name_and_for_a_group():
    variables = [tf.Variable([1.0], name="trunk"), tf.Variable([1.0], name="head")]
    for arguments in (
        {"rule": "new_mean"},
        {"rule": {"rule": "new_mean", "threshold": 0.1}},
        {"groups": {"trunk": "new_mean"}},
    ):
        optimizer = Adagrad(1.0, explain=True, **arguments)
        optimizer.build(variables)
        rules = [explanation.rule for explanation in optimizer.read_explanations().values()]
        assert rules == ["new_mean", "none" if "groups" in arguments else "new_mean"]


@pytest.mark.parametrize("granularity", ["variable", "unit", "global", "row"])
def test_a_variable_in_shards_is_stepped_like_a_whole_one(granularity):
    weights = np.random.default_rng(5).normal(size=(6, 2)).astype(np.float32)
    whole = tf.Variable(weights, name="whole")
    # Shards of different sizes, so that a mean of their means would be wrong.
    parts = [
        tf.Variable(weights[:1], name="part_0"),
        tf.Variable(weights[1:3], name="part_1"),
        tf.Variable(weights[3:], name="part_2"),
    ]
    shards = ShardedVariable(parts)
    factors = []
    optimizers = [Adagrad(ETA, RULES["new_mean"](C, granularity), explain=True) for _ in range(2)]
    for variables, optimizer in zip(([whole], shards.variables), optimizers, strict=True):
        optimizer.build(variables)
    for step in range(3):
        g = np.random.default_rng(step).normal(size=(6, 2)).astype(np.float32) * [
            [1.0],
            [10.0],
            [1.0],
            [0.1],
            [1.0],
            [1.0],
        ]
        optimizers[0].apply_gradients([(tf.constant(g, tf.float32), whole)])
        pieces = [tf.constant(piece, tf.float32) for piece in (g[:1], g[1:3], g[3:])]
        optimizers[1].apply_gradients(zip(pieces, shards.variables, strict=True))
        np.testing.assert_allclose(
            np.concatenate([part.numpy() for part in shards.variables]), whole.numpy(), rtol=1e-5
        )
        factors += [float(factor) for factor in optimizers[0].clipping_factors]
    assert max(factors) < 0.5


def test_large_variables_are_measured_in_blocks_with_the_same_result():
    g = np.random.default_rng(2).normal(size=(4096, 128)).astype(np.float32)
    factors = []
    for jit_compile in (True, False):
        variable = tf.Variable(tf.ones((4096, 128)))
        optimizer = Adagrad(ETA, RULES["new_mean"](C), explain=True, jit_compile=jit_compile)
        optimizer.apply_gradients([(tf.constant(g), variable)])
        factors += [float(factor) for factor in optimizer.clipping_factors]
    r = g / np.sqrt(START + g**2 + EPSILON)
    assert factors == pytest.approx([C / np.abs(r).mean()] * 2, rel=1e-4)


@pytest.mark.parametrize("granularity", ["variable", "global"])
def test_keras_3_trains_with_the_rule(granularity):
    reference = Reference(make_weights(), granularity)
    variables = [keras.Variable(w, dtype="float32", name=name) for w, name in zip(make_weights(), NAMES, strict=True)]
    optimizer = keras3.Adagrad(ETA, RULES["new_mean"](C, granularity))
    optimizer.build(variables)
    for matrix_gradient, table_values in make_gradients(5):
        optimizer.apply([tf.constant(matrix_gradient, tf.float32), to_rows(table_values)], variables)
        reference.step(matrix_gradient, table_values)
        assert_equal([variable.numpy() for variable in variables], reference)


def test_the_settings_take_the_rule_and_its_options():
    options = {"rule": "new_mean", "rule_options": {"threshold": 0.25, "granularity": "row"}}
    config = build(Config, {"optimizer": options})
    optimizer = make_optimizer(config.optimizer, total_steps=10)
    assert optimizer.get_config()["rule"] == {"rule": "new_mean", "threshold": 0.25, "granularity": "row"}
    with pytest.raises(ValueError, match="treshold"):
        build(Config, {"optimizer": {"rule": "new_mean", "rule_options": {"treshold": 0.25}}})

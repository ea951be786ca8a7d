"""The optimizer compared with the NumPy reference, step by step, over gradients of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.optimizers import Adagrad, programs
from tests.optimizers.reference import CASES, NAMES, WEIGHTS
from tests.optimizers.reference_settings import EVERYTHING, SETTINGS, make_reference


def optimizer_of(name, **arguments):
    rule, options = SETTINGS[name]
    return Adagrad(rule=rule, **options, **arguments)


def tensor(gradient, like):
    if gradient is None:
        return None
    if isinstance(gradient, tuple):
        ids, rows = gradient
        return tf.IndexedSlices(
            tf.constant(rows, like.dtype), tf.constant(list(ids), tf.int64), tf.constant(like.shape, tf.int64)
        )
    return tf.constant(gradient, like.dtype)


class Comparison:
    """Compares both implementations; a failure names the step and the variable."""

    def __init__(self, name, **arguments):
        self.reference = make_reference(name)
        self.optimizer = optimizer_of(name, **arguments)
        self.variables = [tf.Variable(w, dtype=tf.float32, name=n) for n, w in zip(NAMES, WEIGHTS, strict=True)]
        self.optimizer.build(self.variables)
        self.largest = [np.abs(w).max() for w in WEIGHTS]

    def step(self, gradients, where, apply=None):
        tensors = [tensor(g, v) for g, v in zip(gradients, self.variables, strict=True)]
        if apply is None:
            self.optimizer.apply_gradients(zip(tensors, self.variables, strict=True))
        else:
            apply(tensors)
        self.reference.step(gradients)
        for i, name in enumerate(NAMES):
            w, expected = self.variables[i].numpy(), self.reference.weights[i]
            # A rounding error, relative to the weights at that step, remains.
            self.largest[i] = max(self.largest[i], np.abs(expected).max())
            tolerance = 2e-5 * self.largest[i]
            assert np.isfinite(w).all(), f"{where}: {name} is not finite"
            np.testing.assert_allclose(w, expected, rtol=0, atol=tolerance, err_msg=f"{where}: weights of {name}")
            accumulator, expected = self.optimizer._accumulators[i].numpy(), self.reference.accumulators[i]
            np.testing.assert_allclose(accumulator, expected, rtol=1e-4, err_msg=f"{where}: accumulator of {name}")
        assert self.optimizer.skipped_steps == self.reference.skipped, f"{where}: skipped steps"

    def steps_in_a_graph(self, rows=None):
        """Takes the steps of all cases, or of those with ``rows`` rows in the table; returns the factors of the reference."""
        dense = [tf.TensorSpec(v.shape, v.dtype) for v in self.variables[:3]]

        @tf.function(input_signature=[dense, tf.TensorSpec([rows, 2]), tf.TensorSpec([rows], tf.int64)])
        def apply(gradients, rows, ids):
            table = self.variables[3]
            tensors = [*gradients, tf.IndexedSlices(rows, ids, tuple(table.shape))]
            self.optimizer.apply_gradients(zip(tensors, self.variables, strict=True))

        seen = []
        for where, gradients in EVERYTHING:
            if rows not in (None, len(gradients[3][0])):
                continue
            self.step(gradients, where, lambda tensors: apply(tensors[:3], tensors[3].values, tensors[3].indices))
            factors = [float(factor) for factor in self.optimizer.clipping_factors]
            expected = self.reference.sigmas
            np.testing.assert_allclose(factors, expected, rtol=2e-3, atol=2e-7, err_msg=f"{where}: sigmas of {NAMES}")
            seen += expected
        self.compare_counts()
        return seen

    def compare_counts(self):
        bad = {f"{n}:0": count for n, count in zip(NAMES, self.reference.bad, strict=True) if count}
        assert self.optimizer.read_nonfinite_gradients() == bad


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("case", CASES)
def test_eager_steps_equal_the_reference(name, case):
    compared = Comparison(name)
    for n, gradients in enumerate(CASES[case]):
        compared.step(gradients, f"step {n}")
    compared.compare_counts()


@pytest.mark.parametrize(
    "name",
    [
        "none",
        "gc",
        "gc global",
        "agc after",
        "agc unit",
        "lamb, delayed, decay",
        "clippy",
        "clippy row, delayed and clipped",
        "adagc",
    ],
)
def test_steps_in_a_graph_equal_the_reference_and_report_its_factors(name):
    compared = Comparison(name, explain=True)
    factors = compared.steps_in_a_graph()
    # The comparison only means something if the rule clipped, and not always.
    if SETTINGS[name][0]["rule"] != "none":
        assert min(factors) < 0.1
        assert max(factors) >= 1.0


@pytest.mark.parametrize("name", ["agc unit after", "clippy row, delayed and clipped", "adagc"])
def test_compiled_steps_equal_the_reference(name, monkeypatch):
    monkeypatch.setattr(programs, "_SMALLEST_PROGRAM", 0)
    compared = Comparison(name, explain=True)
    # With the same number of rows in each step, the sum of repeated rows is compiled, too.
    compared.steps_in_a_graph(rows=3)
    compiled = [key[0] for key in compared.optimizer._programs.keys]
    assert {"measure_variables", "sum_squares", "write", "sum rows"} <= set(compiled)

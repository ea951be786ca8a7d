"""The optimizers for Keras 3: the properties of keras3_cases.py on three backends, and features of TensorFlow only."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from steadyrank.optimizers import programs
from steadyrank.optimizers.keras3 import Adagrad, ClippyAdagrad
from tests.optimizers import keras3_cases
from tests.optimizers.keras3_cases import CHECKS, NOT_ON_TORCH, ONLY_JAX
from tests.optimizers.keras3_checks import ROWS, data, fit, ranker, weights

SECONDS = 300
OTHERS = {
    "jax": "it is in the extra 'dev', pip install 'steadyrank[dev]'",
    "torch": "pip install torch",
}
"""The other backends, and how to install them."""


@pytest.fixture(scope="module", autouse=True)
def other_backends(request, tmp_path_factory) -> Iterator[dict[str, tuple[subprocess.Popen, Path]]]:
    """The processes for JAX and Torch, and their logs; started with the first test so that they run in parallel."""
    is_needed = any("failures_on" in item.fixturenames for item in request.session.items)
    running = {}
    with contextlib.ExitStack() as stack:
        for backend in OTHERS if is_needed else ():
            if importlib.util.find_spec(backend) is not None:
                log = tmp_path_factory.mktemp(backend) / "log"
                process = subprocess.Popen(
                    [sys.executable, "-m", keras3_cases.__name__],
                    cwd=Path(__file__).parents[2],
                    env=os.environ | {"KERAS_BACKEND": backend},
                    stdout=subprocess.PIPE,
                    stderr=stack.enter_context(open(log, "wb")),
                    text=True,
                )
                stack.enter_context(process)
                stack.callback(process.kill)
                running[backend] = (process, log)
        yield running


@pytest.fixture(scope="module")
def failures_on(other_backends) -> Callable[[str], dict[str, str]]:
    """A function from a backend to the failures of its checks, "" for none."""

    @functools.cache
    def read_failures(backend: str) -> dict[str, str]:
        if backend not in other_backends:
            pytest.skip(f"{backend} is not installed: {OTHERS[backend]}")
        process, log = other_backends[backend]
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"exit code {process.returncode}\n{log.read_text()[-4000:]}"
        found = json.loads(output.splitlines()[-1])
        assert found["backend"] == backend
        return found["wrong"]

    return read_failures


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", CHECKS)
def test_on_tensorflow(name, tmp_path):
    assert keras.backend.backend() == "tensorflow"
    CHECKS[name](tmp_path)


class TestSparseGradients:
    def table(self, **arguments):
        table = keras.Variable(np.arange(8.0).reshape(4, 2), name="table")
        optimizer = Adagrad(3.0, "clippy", explain=True, **arguments)
        optimizer.build([table])
        return table, optimizer

    def test_repeated_ids_are_summed_and_equal_the_dense_gradient(self):
        (sparse, of_sparse), (dense, of_dense) = self.table(), self.table()
        values, ids = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]], np.float32), [2, 0, 2]
        summed = np.zeros((4, 2), np.float32)
        np.add.at(summed, ids, values)
        of_sparse.apply([tf.IndexedSlices(tf.constant(values), tf.constant(ids), (4, 2))], [sparse])
        of_dense.apply([tf.constant(summed)], [dense])
        np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-6)
        assert of_sparse.clipping_factors == pytest.approx(of_dense.clipping_factors)
        assert of_sparse.clipping_factors[0] < 0.5
        [explanation] = of_sparse.read_explanations().values()
        assert explanation.bound_by.index == (0, 0)

    def test_only_touched_rows_are_written(self):
        # A decay would move every row of a dense variable.
        table, optimizer = self.table(weight_decay=0.1)
        before = table.numpy(), optimizer._accumulators[0].numpy()
        optimizer.apply([tf.IndexedSlices(tf.ones((1, 2)), tf.constant([1]), (4, 2))], [table])
        for old, new in zip(before, (table.numpy(), optimizer._accumulators[0].numpy()), strict=True):
            np.testing.assert_array_equal(np.delete(new, 1, axis=0), np.delete(old, 1, axis=0))
            assert (new[1] != old[1]).all()

    def test_a_gradient_without_rows_changes_nothing(self):
        table, optimizer = self.table()
        before = table.numpy()
        empty = tf.IndexedSlices(tf.zeros((0, 2)), tf.zeros((0,), tf.int64), (4, 2))
        optimizer.apply([empty], [table])
        np.testing.assert_array_equal(table.numpy(), before)
        assert optimizer.clipping_factors == [1.0]

    @pytest.mark.parametrize(
        "options",
        [{}, {"rule": "clippy", "explain": True}, {"clipvalue": 1.0}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}],
    )
    def test_sparse_gradients_stay_sparse(self, options):
        table = keras.Variable(np.ones((1000, 4)), name="table")
        optimizer = Adagrad(0.1, **options)
        optimizer.build([table])

        @tf.function
        def step(values, ids):
            optimizer.apply([tf.IndexedSlices(values, ids, (1000, 4))], [table])

        made = step.get_concrete_function(tf.TensorSpec([3, 4]), tf.TensorSpec([3], tf.int64)).graph
        graphs = [made, *(function.graph for function in made._functions.values() if hasattr(function, "graph"))]
        shapes = [out.shape for graph in graphs for op in graph.get_operations() for out in op.outputs]
        assert len(shapes) > 10
        assert not [shape for shape in shapes if shape.rank and shape[0] == 1000]

    def test_a_model_produces_sparse_gradients(self):
        model = ranker(ClippyAdagrad(0.3), jit_compile=False)
        kept = model.layers[[layer.name for layer in model.layers].index("table")].embeddings
        before = kept.numpy()
        (ids, numbers), labels = data(steps=1)
        model.fit([np.minimum(ids, 3), numbers], labels, batch_size=ROWS, verbose=0)
        moved = (kept.numpy() != before).any(axis=1)
        np.testing.assert_array_equal(moved, np.arange(12) <= 3)


class TestExecution:
    @staticmethod
    def step(optimizer, w, g):
        optimizer.apply([g], [w])

    def test_eager_equals_graph(self):
        gradients = np.random.default_rng(3).normal(size=(10, 6)).astype(np.float32) * 100
        ends = []
        for wrap in (lambda step: step, tf.function):
            w = keras.Variable(np.ones(6), name="w")
            optimizer = ClippyAdagrad(0.7)
            optimizer.build([w])
            step = wrap(functools.partial(self.step, optimizer, w))
            for g in gradients:
                step(tf.constant(g))
            ends.append(w.numpy())
        np.testing.assert_allclose(*ends, rtol=1e-6)

    def test_compiled_steps_of_large_variables_equal_plain_steps(self):
        ends = []
        for jit_compile in (True, False):
            keras.utils.set_random_seed(0)
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(256, "tanh"), keras.layers.Dense(256)])
            optimizer = ClippyAdagrad(0.5, export_clipping_factors=True, jit_compile=jit_compile)
            model.compile(optimizer, "mse", jit_compile=False)
            assert sum(v.shape.num_elements() for v in model.trainable_variables) > programs._SMALLEST_PROGRAM
            model.fit(np.eye(4, dtype=np.float32), np.full((4, 256), 9.0), batch_size=2, epochs=2, verbose=0)
            assert bool(optimizer._programs.keys) == jit_compile
            ends.append((model.get_weights(), optimizer.clipping_factors))
        (compiled, factors), (plain, same_factors) = ends
        for found, expected in zip(compiled, plain, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(factors, same_factors, rtol=1e-4)
        assert min(factors) < 0.5

    def test_a_constraint_holds_after_the_step(self):
        w = keras.layers.Dense(1, use_bias=False, kernel_constraint="non_neg")
        w.build((None, 1))
        w.kernel.assign([[0.05]])
        optimizer = Adagrad(1.0)
        optimizer.apply([tf.ones((1, 1))], [w.kernel])
        assert w.kernel.numpy() == [[0.0]]


class TestTwoReplicas:
    @pytest.mark.parametrize("rule", ["clippy", "adagc"])
    def test_two_replicas_equal_one_replica(self, rule, two_replicas):
        one = ranker(Adagrad(1.0, rule, explain=True), jit_compile=False)
        with two_replicas.scope():
            two = ranker(Adagrad(1.0, rule, explain=True), jit_compile=False)
        for model in (one, two):
            fit(model)
        expected = weights(one)
        for variable in two.trainable_variables:
            for copy in two_replicas.experimental_local_results(variable.value):
                message = variable.path
                np.testing.assert_allclose(copy.numpy(), expected[message], rtol=1e-4, atol=1e-5, err_msg=message)
        ours, theirs = (model.optimizer.read_explanations() for model in (two, one))
        assert list(ours) == list(theirs)
        for name, explanation in theirs.items():
            assert ours[name].clipped_steps == explanation.clipped_steps, name
            assert ours[name].smallest_factor == pytest.approx(explanation.smallest_factor, rel=1e-3), name
        assert min(explanation.smallest_factor for explanation in theirs.values()) < 0.9

    def test_a_nan_on_one_replica_skips_the_step_on_both(self, two_replicas):
        with two_replicas.scope():
            model = ranker(ClippyAdagrad(0.1), jit_compile=False)
        (ids, numbers), labels = data()
        # The second half of a batch goes to the second replica.
        numbers[ROWS - 1] = np.nan
        model.fit((ids, numbers), labels, batch_size=ROWS, shuffle=False, verbose=0)
        assert model.optimizer.skipped_steps == 1
        for variable in model.trainable_variables:
            first, second = (copy.numpy() for copy in two_replicas.experimental_local_results(variable.value))
            assert np.isfinite(first).all()
            np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_keras_2_under_the_name_keras_is_refused(tmp_path):
    (tmp_path / "keras.py").write_text("__version__ = '2.15.0'\nops = None\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import steadyrank.optimizers.keras3"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 1
    assert "needs Keras 3" in ended.stderr.splitlines()[-1]


# Last, since these processes run in parallel with the tests above.


@pytest.mark.parametrize(
    ("backend", "name"),
    [("jax", name) for name in [*CHECKS, *ONLY_JAX]] + [("torch", name) for name in CHECKS if name not in NOT_ON_TORCH],
)
def test_on_the_other_backends(backend, name, failures_on):
    read_failures = failures_on(backend)[name]
    assert not read_failures, read_failures

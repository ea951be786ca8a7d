"""Bad gradients and explanations in Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from steadyrank import optimizers as keras2
from steadyrank.optimizers.keras3 import Adagrad, ClippyAdagrad
from tests.optimizers.keras3_checks import ON_JAX, ROWS, check, data, dense_or_rows, ranker, tensor, variables, weights
from tests.optimizers.reference import CASES, NAMES, WEIGHTS, Gradient


def _bad(number: float, place: int) -> list[Any]:
    gradients = [np.ones(w.shape) for w in WEIGHTS]
    gradients[place] = np.full(WEIGHTS[place].shape, number)
    return [ops.convert_to_tensor(g, "float32") for g in gradients]


@check
def a_bad_gradient_skips_the_step_and_is_counted() -> None:
    for number in (np.nan, np.inf, -np.inf, 1e11):
        for options in ({}, {"clipvalue": 1.0}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
            vs = variables()
            optimizer = Adagrad(0.1, "clippy", explain=True, **options)
            optimizer.build(vs)
            optimizer.apply(_bad(1.0, 0), vs)
            before = [ops.convert_to_numpy(v) for v in [*vs, *optimizer._accumulators]]
            explained = optimizer.read_explanations(reset=False)
            optimizer.apply(_bad(number, 1), vs)
            for old, v in zip(before, [*vs, *optimizer._accumulators], strict=True):
                np.testing.assert_array_equal(ops.convert_to_numpy(v), old)
            assert optimizer.read_explanations() == explained
            assert optimizer.skipped_steps == 1
            assert optimizer.read_nonfinite_gradients() == {"vector": 1}
            assert int(optimizer.iterations) == 2


def _catch_message(step: Callable[[], Any]) -> str:
    """The message of the error that a step raises; its type depends on the backend."""
    try:
        step()
        if ON_JAX:
            import jax

            jax.effects_barrier()
    except Exception as error:
        return str(error).replace("\\", "")
    raise AssertionError("there was no error")


@check
def one_more_skipped_step_than_allowed_is_an_error_that_names_the_variable() -> None:
    vs = variables()
    optimizer = ClippyAdagrad(0.1, max_skipped_steps=2)
    optimizer.build(vs)
    # Two, a good one, and two again are allowed.
    for number in (np.nan, np.nan, 1.0, np.nan, np.nan):
        optimizer.apply(_bad(number, 2), vs)
    assert optimizer.skipped_steps == 4
    words = _catch_message(lambda: optimizer.apply(_bad(np.nan, 2), vs))
    assert "the gradient of 'scalar' was not finite" in words
    assert "after 2 skipped steps" in words


@check
def fit_ends_with_that_error() -> None:
    model = ranker(ClippyAdagrad(0.1, max_skipped_steps=2), jit_compile=ON_JAX)
    (ids, numbers), labels = data()
    words = _catch_message(lambda: model.fit((ids, numbers * np.nan), labels, batch_size=ROWS, verbose=0))
    assert "was not finite" in words
    assert "max_skipped_steps" in words


@check
def fit_goes_on_after_a_bad_batch() -> None:
    for jit_compile in (False, True):
        model = ranker(ClippyAdagrad(0.1), jit_compile=jit_compile)
        (ids, numbers), labels = data()
        numbers[ROWS] = np.nan
        model.fit((ids, numbers), labels, batch_size=ROWS, shuffle=False, verbose=0)
        assert model.optimizer.skipped_steps == 1
        assert model.optimizer.read_nonfinite_gradients()["lower/kernel"] == 1
        assert all(np.isfinite(values).all() for values in weights(model).values())


@check
def explanations_equal_those_of_keras_2() -> None:
    rules = {
        "matrix": keras2.Clippy(),
        "vector": keras2.Clippy(0.1),
        "scalar": "gc",
        "table": keras2.Clippy(granularity="row"),
    }
    ours, theirs = variables(), [tf.Variable(w, dtype=tf.float32, name=n) for n, w in zip(NAMES, WEIGHTS, strict=True)]
    optimizer, other = (kind(0.5, groups=rules, explain=True) for kind in (Adagrad, keras2.Adagrad))
    optimizer.build(ours)
    other.build(theirs)
    for case in ("spikes of 1e4 and 1e6", "NaN, infinity and 1e30"):
        for gradients in map(dense_or_rows, CASES[case]):
            optimizer.apply([tensor(g, v) for g, v in zip(gradients, ours, strict=True)], ours)
            with tf.device("CPU"):
                given = [_for_keras_2(g, v) for g, v in zip(gradients, theirs, strict=True)]
            other.apply_gradients(zip(given, theirs, strict=True))
        mine, options = optimizer.read_explanations(), other.read_explanations()
        assert [f"{name}:0" for name in mine] == list(options)
        for found, expected in zip(mine.values(), options.values(), strict=True):
            assert_same_explanation(found, expected)
        assert any(found.bound_by for found in mine.values())


def _for_keras_2(gradient: Gradient, variable: tf.Variable) -> Any:
    if isinstance(gradient, tuple):
        return tf.IndexedSlices(tf.constant(gradient[1], tf.float32), tf.constant(list(gradient[0])), variable.shape)
    return tf.constant(gradient, tf.float32)


def assert_same_explanation(found: keras2.Explanation, expected: keras2.Explanation) -> None:
    assert (found.rule, found.clipped_steps) == (expected.rule, expected.clipped_steps)
    for number in ("factor", "smallest_factor", "gradient_norm", "update_norm", "parameter_norm"):
        assert getattr(found, number) == pytest.approx(getattr(expected, number), rel=1e-4), number
    assert (found.bound_by is None) == (expected.bound_by is None)
    if expected.bound_by:
        where = (expected.bound_by.iteration, expected.bound_by.index)
        assert (found.bound_by.iteration, found.bound_by.index) == where
        for number in ("weight", "gradient", "accumulator", "step"):
            expected_number = getattr(expected.bound_by, number)
            assert getattr(found.bound_by, number) == pytest.approx(expected_number, rel=1e-4), number


@check
def reading_explanations_that_are_not_kept_says_how_to_have_them() -> None:
    with pytest.raises(ValueError, match="explain=True"):
        Adagrad().read_explanations()

"""Conflicts between tasks, compared with numbers by hand and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence.sharpness import ConflictProbe, compute_conflict


def test_opposite_and_independent_gradients_equal_numbers_by_hand():
    conflict = compute_conflict(
        {
            "a": [tf.constant([3.0, 0.0]), tf.constant([[4.0]])],
            "b": [tf.constant([-6.0, 0.0]), tf.constant([[-8.0]])],
            "c": [tf.constant([0.0, 5.0]), tf.constant([[0.0]])],
        },
        layers=["one", "two"],
    )
    assert conflict.tasks == ("a", "b", "c")
    assert conflict.norms == {"a": 5.0, "b": 10.0, "c": 5.0}
    assert conflict.shares == {"a": 0.25, "b": 0.5, "c": 0.25}
    np.testing.assert_allclose(conflict.cosines, [[1, -1, 0], [-1, 1, 0], [0, 0, 1]], atol=1e-7)
    assert conflict.cosine("a", "b") == conflict.cosine("b", "a") == pytest.approx(-1.0)
    assert conflict.layers == {"one": {"a": 3.0, "b": 6.0, "c": 5.0}, "two": {"a": 4.0, "b": 8.0, "c": 0.0}}


def test_the_norm_of_a_layer_covers_all_its_variables():
    gradients = [tf.constant([3.0]), tf.constant([9.0]), tf.constant([4.0])]
    assert compute_conflict({"a": gradients}, ["one", "two", "one"]).layers == {"one": {"a": 5.0}, "two": {"a": 9.0}}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.integers(-30, 30))
def test_the_conflict_equals_numpy_for_numbers_of_any_size(seed, power):
    rng = np.random.default_rng(seed)
    gradients = {task: rng.normal(size=(2, 6)) for task in "abc"}
    scaled = {task: [tf.constant(row * 10.0**power, tf.float32) for row in rows] for task, rows in gradients.items()}
    conflict = compute_conflict(scaled)
    flat = np.stack([rows.ravel() for rows in gradients.values()])
    norms = np.linalg.norm(flat, axis=1)
    np.testing.assert_allclose(list(conflict.norms.values()), norms * 10.0**power, rtol=1e-5)
    np.testing.assert_allclose(list(conflict.shares.values()), norms / norms.sum(), rtol=1e-5)
    np.testing.assert_allclose(conflict.cosines, flat @ flat.T / np.outer(norms, norms), atol=1e-5)
    for i, layer in enumerate(conflict.layers.values()):
        expected = [np.linalg.norm(rows[i]) * 10.0**power for rows in gradients.values()]
        np.testing.assert_allclose(list(layer.values()), expected, rtol=1e-5)


def test_a_task_without_a_gradient_has_norm_zero_and_no_direction():
    conflict = compute_conflict(
        {"a": [tf.constant([1.0]), None], "none": [None, None], "zero": [tf.constant([0.0]), None]}
    )
    assert conflict.norms == {"a": 1.0, "none": 0.0, "zero": 0.0}
    assert conflict.shares == {"a": 1.0, "none": 0.0, "zero": 0.0}
    assert conflict.cosine("a", "a") == 1.0
    assert all(math.isnan(conflict.cosine("a", task)) for task in ("none", "zero"))
    assert math.isnan(conflict.cosine("none", "none"))
    assert conflict.layers["1"] == {"a": 0.0, "none": 0.0, "zero": 0.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_affects_no_other_task(bad):
    conflict = compute_conflict(
        {"a": [tf.constant([1.0, 0.0])], "bad": [tf.constant([bad, 0.0])], "c": [tf.constant([2.0, 0.0])]}
    )
    assert (conflict.norms["a"], conflict.norms["c"], conflict.cosine("a", "c")) == (1.0, 2.0, 1.0)
    assert math.isnan(conflict.norms["bad"])
    assert math.isnan(conflict.cosine("bad", "a"))
    assert math.isnan(conflict.cosine("bad", "bad"))


def test_repeated_rows_of_a_sparse_gradient_are_summed():
    slices = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), tf.constant([3, 1]))
    conflict = compute_conflict({"sparse": [slices], "dense": [tf.constant([[0.0], [3.0], [4.0]])]})
    assert conflict.norms == {"sparse": 3.0, "dense": 5.0}
    assert conflict.cosine("sparse", "dense") == pytest.approx(0.6)


def test_tasks_with_gradients_for_different_numbers_of_variables_are_refused():
    with pytest.raises(ValueError, match="one gradient for each of 1 variables"):
        compute_conflict({"a": [None], "b": [None, None]})
    with pytest.raises(ValueError, match="at least one variable"):
        ConflictProbe(lambda: {}, [])

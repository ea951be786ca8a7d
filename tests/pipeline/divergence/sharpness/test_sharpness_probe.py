"""Sharpness compared with NumPy's eigenvalues and with the stability of training."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence.sharpness import SharpnessProbe, compute_sharpness, find_adagrad_accumulators

EXACT = {"iterations": 5000, "tolerance": 1e-10}


def make_quadratic_probe(**options) -> SharpnessProbe:
    """A probe of 1/2 w^T A w for the A ``[7, 7]`` that it is called with; w is split into a matrix and a vector."""
    variables = [tf.Variable(tf.ones(shape, tf.float64)) for shape in ([2, 2], [3])]

    def loss_fn(matrix):
        w = tf.concat([tf.reshape(variable, [-1]) for variable in variables], axis=0)
        return 0.5 * tf.tensordot(w, tf.linalg.matvec(matrix, w), 1)

    return SharpnessProbe(loss_fn, variables, epsilon=0.0, **options)


def make_symmetric(seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(7, 7))
    return matrix + matrix.T


def find_largest(matrix: np.ndarray) -> tuple[float, bool]:
    """The eigenvalue of largest magnitude by NumPy, and whether none of the other sign comes near it."""
    values = np.linalg.eigvalsh(matrix)
    value = values[np.argmax(np.abs(values))]
    return value, abs(values.min() + values.max()) > 1e-3 * abs(value)


# One probe for all examples, because it is traced once.
QUADRATIC = make_quadratic_probe()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), sign=st.sampled_from([-1, 1]))
def test_the_sharpness_of_a_quadratic_equals_numpy(seed, sign):
    matrix = sign * make_symmetric(seed)
    expected, is_alone = find_largest(matrix)
    result = QUADRATIC(tf.constant(matrix), **EXACT)
    assert result.preconditioned is None
    assert result.converged
    assert abs(result.sharpness) == pytest.approx(abs(expected), rel=1e-4)
    if is_alone:
        assert math.copysign(1, result.sharpness) == math.copysign(1, expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), powers=st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_the_preconditioned_sharpness_equals_numpy(seed, powers):
    matrix, accumulator = make_symmetric(seed), 10.0 ** np.array(powers)
    p = 1 / np.sqrt(accumulator)
    expected, is_alone = find_largest(np.sqrt(p)[:, None] * matrix * np.sqrt(p))
    accumulators = [tf.constant(accumulator[:4].reshape(2, 2)), tf.constant(accumulator[4:])]
    result = QUADRATIC(tf.constant(matrix), accumulators=accumulators, **EXACT)
    assert abs(result.sharpness) == pytest.approx(abs(find_largest(matrix)[0]), rel=1e-4)
    assert abs(result.preconditioned) == pytest.approx(abs(expected), rel=1e-4)
    if is_alone:
        assert math.copysign(1, result.preconditioned) == math.copysign(1, expected)


def test_eigenvalues_of_opposite_signs_converge():
    result = QUADRATIC(tf.constant(np.diag([3.0, -3.0, 1.0, 0.0, 0.0, 0.5, -1.0])))
    assert abs(result.sharpness) == pytest.approx(3.0, rel=1e-2)
    assert result.converged


def test_epsilon_is_added_under_the_root():
    w = tf.Variable([1.0])
    result = SharpnessProbe(lambda: 3.0 * w[0] ** 2, [w], epsilon=4.0)(accumulators=[tf.zeros([1])])
    assert result.preconditioned == pytest.approx(3.0)


def test_two_over_the_sharpness_bounds_the_rate_of_gradient_descent():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = tf.constant(basis @ np.diag([20.0, 7, 3, 1, 0.5]) @ basis.T)
    w = tf.Variable(rng.normal(size=5))

    def loss_fn():
        return 0.5 * tf.tensordot(w, tf.linalg.matvec(matrix, w), 1)

    result = compute_sharpness(loss_fn, [w], iterations=100, tolerance=1e-6)
    assert result.sharpness == pytest.approx(20.0, rel=1e-3)
    assert 0.09 < 2 / result.sharpness < 0.11
    for rate, reaches in ((0.09, lambda end, begin: end < 1e-3 * begin), (0.11, lambda end, begin: end > 1e3 * begin)):
        w.assign(tf.ones_like(w))
        begin = float(loss_fn())
        for _ in range(100):
            w.assign_sub(rate * tf.linalg.matvec(matrix, w))
        assert reaches(float(loss_fn()), begin)


@pytest.mark.parametrize(("share", "grows"), [(0.9, False), (1.1, True)])
def test_two_over_the_preconditioned_sharpness_bounds_the_rate_of_adagrad(share, grows):
    curvature = tf.constant([20.0, 1.0])
    w = tf.Variable([1e-3, 1e-3])

    def loss_fn():
        return 0.5 * tf.reduce_sum(curvature * w * w)

    # The gradients are so small that the accumulators hardly change.
    optimizer = tf_keras.optimizers.Adagrad(1.0, initial_accumulator_value=100.0)
    optimizer.build([w])
    result = compute_sharpness(
        loss_fn, [w], accumulators=find_adagrad_accumulators(optimizer, [w]), iterations=50, tolerance=1e-5
    )
    assert result.preconditioned == pytest.approx(2.0, rel=1e-3)
    optimizer.learning_rate.assign(share * 2 / result.preconditioned)
    for _ in range(20):
        optimizer.apply_gradients([(curvature * w, w)])
    assert (abs(w.numpy()[0]) > 1e-3) == grows


def compute_hessian(loss_fn, variables) -> np.ndarray:
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as tape:
            loss = loss_fn()
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
    sizes = [int(tf.size(gradient)) for gradient in gradients]
    blocks = []
    for gradient, rows in zip(gradients, sizes, strict=True):
        parts = outer.jacobian(gradient, variables, unconnected_gradients="zero")
        blocks.append([tf.reshape(part, [rows, size]).numpy() for part, size in zip(parts, sizes, strict=True)])
    return np.block(blocks)


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_equals_the_full_hessian_of_a_small_model(library):
    library.utils.set_random_seed(1)
    dense = library.layers.Dense
    model = library.Sequential([dense(5, "tanh"), dense(4, "relu"), dense(1)])
    rng = np.random.default_rng(0)
    x, y = (tf.constant(rng.normal(size=(16, width)), tf.float32) for width in (3, 1))
    model(x)

    def loss_fn(x, y):
        return tf.reduce_mean(tf.square(model(x) - y))

    natives = [variable if library is tf_keras else variable.value for variable in model.trainable_variables]
    expected, is_alone = find_largest(compute_hessian(lambda: loss_fn(x, y), natives))
    assert is_alone
    probe = SharpnessProbe(loss_fn, model.trainable_variables)
    assert probe(x, y, iterations=500, tolerance=1e-7).sharpness == pytest.approx(expected, rel=1e-3)
    assert probe(x, y).sharpness == pytest.approx(expected, rel=0.05)


def test_sparse_gradients_equal_dense_gradients():
    rng = np.random.default_rng(0)
    ids, y = tf.constant([3, 1, 3, 0, 3]), tf.constant(rng.normal(size=5), tf.float32)
    table, kernel = (tf.Variable(rng.normal(size=shape), dtype=tf.float32) for shape in ((6, 2), (2,)))

    def loss_fn(rows):
        return tf.reduce_mean((tf.linalg.matvec(tf.tanh(rows), kernel) - y) ** 4)

    def sparse():
        return loss_fn(tf.gather(table, ids))

    with tf.GradientTape() as tape:
        loss = sparse()
    assert isinstance(tape.gradient(loss, table), tf.IndexedSlices)
    expected, _ = find_largest(compute_hessian(lambda: loss_fn(tf.one_hot(ids, 6) @ table), [table, kernel]))
    assert compute_sharpness(sparse, [table, kernel], iterations=500, tolerance=1e-7).sharpness == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_equals_the_full_hessian_of_a_model_with_a_table(library):
    library.utils.set_random_seed(0)
    layers = library.layers
    ids = tf.constant([[1, 2], [2, 2], [4, 0]])
    inputs = layers.Input([2], dtype="int32")
    outputs = layers.Dense(1)(layers.Flatten()(layers.Embedding(5, 3)(inputs)))
    model = library.Model(inputs, outputs)

    def loss_fn():
        return tf.reduce_mean(tf.square(model(ids) - 1.0))

    natives = [variable if library is tf_keras else variable.value for variable in model.trainable_variables]
    expected, _ = find_largest(compute_hessian(loss_fn, natives))
    result = compute_sharpness(loss_fn, model.trainable_variables, iterations=500, tolerance=1e-7)
    assert result.sharpness == pytest.approx(expected, rel=1e-3)


def test_a_variable_without_a_gradient_contributes_nothing():
    w, idle = tf.Variable([1.0, 1.0]), tf.Variable(tf.ones([3]))
    result = compute_sharpness(lambda: 4.0 * w[0] ** 2 + w[1] ** 2, [idle, w], tolerance=1e-6)
    assert result.sharpness == pytest.approx(8.0, rel=1e-4)


def test_a_warm_start_takes_fewer_iterations():
    matrix = np.diag([5.0, 4.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    probe = make_quadratic_probe(warm_start=True)
    options = {"accumulators": [tf.ones([2, 2]), tf.ones([3])], "iterations": 200, "tolerance": 1e-6}
    cold = probe(tf.constant(matrix), **options)
    warm = probe(tf.constant(1.1 * matrix), **options)
    assert cold.iterations > 20
    # At least two for each eigenvalue, to see that it has settled.
    assert 4 <= warm.iterations <= 8
    assert (warm.sharpness, warm.preconditioned) == pytest.approx((5.5, 5.5), rel=1e-4)
    probe.reset()
    assert probe(tf.constant(matrix), **options) == cold


def test_without_a_warm_start_calls_are_equal():
    matrix = tf.constant(make_symmetric(0))
    assert QUADRATIC(matrix) == QUADRATIC(matrix)


def test_batches_of_one_shape_are_traced_once():
    w = tf.Variable([1.0, 2.0])
    traced = []

    def loss_fn(batch):
        traced.append(batch)
        return tf.reduce_sum(batch["a"] * w**2)

    probe = SharpnessProbe(loss_fn, [w])
    sharpnesses = [probe({"a": tf.constant([a, 0.0])}, iterations=10 + int(a)).sharpness for a in (1.0, 2.0, 3.0)]
    assert sharpnesses == pytest.approx([2.0, 4.0, 6.0])
    assert len(traced) == 1


def test_the_iteration_stops_within_the_tolerance():
    matrix, tolerance = tf.constant(make_symmetric(0)), 1e-3
    taken = QUADRATIC(matrix, tolerance=tolerance).iterations
    values = [QUADRATIC(matrix, iterations=taken - back, tolerance=0.0).sharpness for back in (2, 1, 0)]
    assert abs(values[2] - values[1]) < tolerance * abs(values[2])
    assert abs(values[1] - values[0]) >= tolerance * abs(values[1])


@pytest.mark.parametrize("iterations", [1, 3])
def test_the_iteration_stops_at_its_limit(iterations):
    matrix = tf.constant(np.diag([1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94]))
    result = QUADRATIC(matrix, iterations=iterations, tolerance=1e-9)
    assert (result.iterations, result.converged) == (iterations, False)
    assert 0.94 < result.sharpness < 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_gives_nan_and_is_forgotten(bad):
    w = tf.Variable([1.0, 2.0])
    probe = SharpnessProbe(lambda a: tf.reduce_sum(a * w**4), [w], warm_start=True)
    accumulators = [tf.ones([2])]
    result = probe(tf.constant([bad, 1.0]), accumulators=accumulators, iterations=10**9)
    assert math.isnan(result.sharpness)
    assert math.isnan(result.preconditioned)
    assert not result.converged
    assert probe(tf.constant([1.0, 1.0])).sharpness == pytest.approx(48.0, rel=1e-2)


@pytest.mark.parametrize("nothing", [0.0, 1e-30])
def test_a_loss_without_curvature_has_sharpness_zero(nothing):
    w = tf.Variable([1.0, 2.0])
    probe = SharpnessProbe(lambda a: tf.reduce_sum(a * w**2) + w[0], [w], warm_start=True)
    for _ in range(2):
        result = probe(tf.fill([2], nothing))
        assert (result.sharpness, result.iterations, result.converged) == (0.0, 1, True)
    assert probe(tf.ones([2])).sharpness == pytest.approx(2.0)


def test_measuring_does_not_change_the_variables():
    w = tf.Variable([1.0, 2.0])
    compute_sharpness(lambda: tf.reduce_sum(w**4), [w])
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])


def test_wrong_arguments_are_refused():
    w, other = tf.Variable([1.0, 2.0]), tf.Variable(1.0)
    with pytest.raises(ValueError, match="at least one variable"):
        SharpnessProbe(lambda: w[0], [])
    with pytest.raises(ValueError, match=r"the loss must be a scalar, got shape \(2,\)"):
        compute_sharpness(lambda: w * w, [w])
    with pytest.raises(ValueError, match="depends on none of the variables"):
        compute_sharpness(lambda: other * other, [w])
    with pytest.raises(ValueError, match="one tensor for each of 1 variables, got 2"):
        compute_sharpness(lambda: w[0] ** 2, [w], accumulators=[w, w])
    with pytest.raises(ValueError, match="iterations must be 1 or more"):
        compute_sharpness(lambda: w[0] ** 2, [w], iterations=0)


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_a_models_accumulators_precondition_its_sharpness(library):
    model = library.Sequential([library.layers.Dense(1)])
    model.build([None, 3])
    optimizer = library.optimizers.Adagrad(initial_accumulator_value=4.0)
    optimizer.build(model.trainable_variables)
    accumulators = find_adagrad_accumulators(optimizer, model.trainable_variables)
    x = tf.constant(np.random.default_rng(0).normal(size=(8, 3)), tf.float32)
    result = compute_sharpness(
        lambda: tf.reduce_mean(tf.square(model(x) - 1.0)),
        model.trainable_variables,
        accumulators=accumulators,
        tolerance=1e-5,
    )
    assert result.preconditioned == pytest.approx(result.sharpness / 2.0, rel=1e-3)

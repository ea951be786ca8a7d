"""Sharpness against NumPy's eigenvalues and against the training that it foretells; conflicts of tasks by hand."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as optimizers3
from steadyrank.pipeline.divergence.sharpness import (
    ConflictProbe,
    SharpnessProbe,
    compute_conflict,
    compute_sharpness,
    find_adagrad_accumulators,
    find_shared_variables,
)

EXACT = {"iterations": 5000, "tolerance": 1e-10}


def quadratic(**options) -> SharpnessProbe:
    """A probe of 1/2 w^T A w for whatever A ``[7, 7]`` it is called with; w lies in a matrix and a vector."""
    variables = [tf.Variable(tf.ones(shape, tf.float64)) for shape in ([2, 2], [3])]

    def loss_fn(matrix):
        w = tf.concat([tf.reshape(variable, [-1]) for variable in variables], axis=0)
        return 0.5 * tf.tensordot(w, tf.linalg.matvec(matrix, w), 1)

    return SharpnessProbe(loss_fn, variables, epsilon=0.0, **options)


def symmetric(seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(7, 7))
    return matrix + matrix.T


def largest(matrix: np.ndarray) -> tuple[float, bool]:
    """By NumPy; and whether no eigenvalue of the other sign comes near it."""
    values = np.linalg.eigvalsh(matrix)
    value = values[np.argmax(np.abs(values))]
    return value, abs(values.min() + values.max()) > 1e-3 * abs(value)


# One for all examples, since it is traced once.
QUADRATIC = quadratic()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), sign=st.sampled_from([-1, 1]))
def test_equals_numpy_on_a_quadratic(seed, sign):
    matrix = sign * symmetric(seed)
    wanted, alone = largest(matrix)
    found = QUADRATIC(tf.constant(matrix), **EXACT)
    assert found.preconditioned is None
    assert found.converged
    assert abs(found.sharpness) == pytest.approx(abs(wanted), rel=1e-4)
    if alone:
        assert math.copysign(1, found.sharpness) == math.copysign(1, wanted)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), powers=st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_the_preconditioned_one_equals_numpy(seed, powers):
    matrix, accumulator = symmetric(seed), 10.0 ** np.array(powers)
    p = 1 / np.sqrt(accumulator)
    wanted, alone = largest(np.sqrt(p)[:, None] * matrix * np.sqrt(p))
    accumulators = [tf.constant(accumulator[:4].reshape(2, 2)), tf.constant(accumulator[4:])]
    found = QUADRATIC(tf.constant(matrix), accumulators=accumulators, **EXACT)
    assert abs(found.sharpness) == pytest.approx(abs(largest(matrix)[0]), rel=1e-4)
    assert abs(found.preconditioned) == pytest.approx(abs(wanted), rel=1e-4)
    if alone:
        assert math.copysign(1, found.preconditioned) == math.copysign(1, wanted)


def test_both_signs_of_one_magnitude_are_no_trap():
    found = QUADRATIC(tf.constant(np.diag([3.0, -3.0, 1.0, 0.0, 0.0, 0.5, -1.0])))
    assert abs(found.sharpness) == pytest.approx(3.0, rel=1e-2)
    assert found.converged


def test_epsilon_stands_under_the_root():
    w = tf.Variable([1.0])
    found = SharpnessProbe(lambda: 3.0 * w[0] ** 2, [w], epsilon=4.0)(accumulators=[tf.zeros([1])])
    assert found.preconditioned == pytest.approx(3.0)


# What the number foretells.


def test_two_over_it_divides_the_rates_of_gradient_descent():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = tf.constant(basis @ np.diag([20.0, 7, 3, 1, 0.5]) @ basis.T)
    w = tf.Variable(rng.normal(size=5))

    def loss_fn():
        return 0.5 * tf.tensordot(w, tf.linalg.matvec(matrix, w), 1)

    found = compute_sharpness(loss_fn, [w], iterations=100, tolerance=1e-6)
    assert found.sharpness == pytest.approx(20.0, rel=1e-3)
    assert 0.09 < 2 / found.sharpness < 0.11
    for rate, ends in ((0.09, lambda end, begin: end < 1e-3 * begin), (0.11, lambda end, begin: end > 1e3 * begin)):
        w.assign(tf.ones_like(w))
        begin = float(loss_fn())
        for _ in range(100):
            w.assign_sub(rate * tf.linalg.matvec(matrix, w))
        assert ends(float(loss_fn()), begin)


@pytest.mark.parametrize(("share", "grows"), [(0.9, False), (1.1, True)])
def test_two_over_the_preconditioned_one_divides_the_rates_of_adagrad(share, grows):
    curvature = tf.constant([20.0, 1.0])
    w = tf.Variable([1e-3, 1e-3])

    def loss_fn():
        return 0.5 * tf.reduce_sum(curvature * w * w)

    # Gradients so small that the accumulator stays what it is.
    optimizer = tf_keras.optimizers.Adagrad(1.0, initial_accumulator_value=100.0)
    optimizer.build([w])
    found = compute_sharpness(
        loss_fn, [w], accumulators=find_adagrad_accumulators(optimizer, [w]), iterations=50, tolerance=1e-5
    )
    assert found.preconditioned == pytest.approx(2.0, rel=1e-3)
    optimizer.learning_rate.assign(share * 2 / found.preconditioned)
    for _ in range(20):
        optimizer.apply_gradients([(curvature * w, w)])
    assert (abs(w.numpy()[0]) > 1e-3) == grows


# Models.


def full_hessian(loss_fn, variables) -> np.ndarray:
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
    wanted, alone = largest(full_hessian(lambda: loss_fn(x, y), natives))
    assert alone
    probe = SharpnessProbe(loss_fn, model.trainable_variables)
    assert probe(x, y, iterations=500, tolerance=1e-7).sharpness == pytest.approx(wanted, rel=1e-3)
    assert probe(x, y).sharpness == pytest.approx(wanted, rel=0.05)


def test_tables_with_sparse_gradients_are_followed_through_their_rows():
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
    wanted, _ = largest(full_hessian(lambda: loss_fn(tf.one_hot(ids, 6) @ table), [table, kernel]))
    assert compute_sharpness(sparse, [table, kernel], iterations=500, tolerance=1e-7).sharpness == pytest.approx(
        wanted, rel=1e-3
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
    wanted, _ = largest(full_hessian(loss_fn, natives))
    found = compute_sharpness(loss_fn, model.trainable_variables, iterations=500, tolerance=1e-7)
    assert found.sharpness == pytest.approx(wanted, rel=1e-3)


def test_a_variable_without_a_gradient_contributes_nothing():
    w, idle = tf.Variable([1.0, 1.0]), tf.Variable(tf.ones([3]))
    found = compute_sharpness(lambda: 4.0 * w[0] ** 2 + w[1] ** 2, [idle, w], tolerance=1e-6)
    assert found.sharpness == pytest.approx(8.0, rel=1e-4)


# How it runs.


def test_a_warm_start_takes_fewer_iterations():
    matrix = np.diag([5.0, 4.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    probe = quadratic(warm_start=True)
    told = {"accumulators": [tf.ones([2, 2]), tf.ones([3])], "iterations": 200, "tolerance": 1e-6}
    cold = probe(tf.constant(matrix), **told)
    warm = probe(tf.constant(1.1 * matrix), **told)
    assert cold.iterations > 20
    # Two at least, to see that the value stays; for each of the eigenvalues.
    assert 4 <= warm.iterations <= 8
    assert (warm.sharpness, warm.preconditioned) == pytest.approx((5.5, 5.5), rel=1e-4)
    probe.forget()
    assert probe(tf.constant(matrix), **told) == cold


def test_without_a_warm_start_a_call_equals_the_one_before():
    matrix = tf.constant(symmetric(0))
    assert QUADRATIC(matrix) == QUADRATIC(matrix)


def test_is_traced_once_for_batches_of_one_shape():
    w = tf.Variable([1.0, 2.0])
    traced = []

    def loss_fn(batch):
        traced.append(batch)
        return tf.reduce_sum(batch["a"] * w**2)

    probe = SharpnessProbe(loss_fn, [w])
    found = [probe({"a": tf.constant([a, 0.0])}, iterations=10 + int(a)).sharpness for a in (1.0, 2.0, 3.0)]
    assert found == pytest.approx([2.0, 4.0, 6.0])
    assert len(traced) == 1


def test_stops_as_soon_as_the_value_changes_by_less_than_the_tolerance():
    matrix, tolerance = tf.constant(symmetric(0)), 1e-3
    taken = QUADRATIC(matrix, tolerance=tolerance).iterations
    values = [QUADRATIC(matrix, iterations=taken - back, tolerance=0.0).sharpness for back in (2, 1, 0)]
    assert abs(values[2] - values[1]) < tolerance * abs(values[2])
    assert abs(values[1] - values[0]) >= tolerance * abs(values[1])


@pytest.mark.parametrize("iterations", [1, 3])
def test_stops_at_the_given_iterations(iterations):
    matrix = tf.constant(np.diag([1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94]))
    found = QUADRATIC(matrix, iterations=iterations, tolerance=1e-9)
    assert (found.iterations, found.converged) == (iterations, False)
    assert 0.94 < found.sharpness < 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_comes_back_as_nan_and_is_forgotten(bad):
    w = tf.Variable([1.0, 2.0])
    probe = SharpnessProbe(lambda a: tf.reduce_sum(a * w**4), [w], warm_start=True)
    accumulators = [tf.ones([2])]
    found = probe(tf.constant([bad, 1.0]), accumulators=accumulators, iterations=10**9)
    assert math.isnan(found.sharpness)
    assert math.isnan(found.preconditioned)
    assert not found.converged
    assert probe(tf.constant([1.0, 1.0])).sharpness == pytest.approx(48.0, rel=1e-2)


@pytest.mark.parametrize("nothing", [0.0, 1e-30])
def test_a_loss_without_curvature_has_sharpness_zero(nothing):
    w = tf.Variable([1.0, 2.0])
    probe = SharpnessProbe(lambda a: tf.reduce_sum(a * w**2) + w[0], [w], warm_start=True)
    for _ in range(2):
        found = probe(tf.fill([2], nothing))
        assert (found.sharpness, found.iterations, found.converged) == (0.0, 1, True)
    assert probe(tf.ones([2])).sharpness == pytest.approx(2.0)


def test_measures_and_leaves_the_variables_alone():
    w = tf.Variable([1.0, 2.0])
    compute_sharpness(lambda: tf.reduce_sum(w**4), [w])
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])


def test_what_cannot_be_measured_is_refused():
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


# Conflicts.


def test_opposite_and_independent_gradients_by_hand():
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


def test_a_layers_norm_is_that_of_all_its_variables():
    gradients = [tf.constant([3.0]), tf.constant([9.0]), tf.constant([4.0])]
    assert compute_conflict({"a": gradients}, ["one", "two", "one"]).layers == {"one": {"a": 5.0}, "two": {"a": 9.0}}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.integers(-30, 30))
def test_equals_numpy_whatever_the_size_of_the_numbers(seed, power):
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
        wanted = [np.linalg.norm(rows[i]) * 10.0**power for rows in gradients.values()]
        np.testing.assert_allclose(list(layer.values()), wanted, rtol=1e-5)


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
def test_a_gradient_that_is_not_finite_spoils_no_other_task(bad):
    conflict = compute_conflict(
        {"a": [tf.constant([1.0, 0.0])], "bad": [tf.constant([bad, 0.0])], "c": [tf.constant([2.0, 0.0])]}
    )
    assert (conflict.norms["a"], conflict.norms["c"], conflict.cosine("a", "c")) == (1.0, 2.0, 1.0)
    assert math.isnan(conflict.norms["bad"])
    assert math.isnan(conflict.cosine("bad", "a"))
    assert math.isnan(conflict.cosine("bad", "bad"))


def test_rows_that_come_twice_in_a_sparse_gradient_are_summed():
    slices = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), tf.constant([3, 1]))
    conflict = compute_conflict({"sparse": [slices], "dense": [tf.constant([[0.0], [3.0], [4.0]])]})
    assert conflict.norms == {"sparse": 3.0, "dense": 5.0}
    assert conflict.cosine("sparse", "dense") == pytest.approx(0.6)


def test_gradients_of_different_numbers_of_variables_are_refused():
    with pytest.raises(ValueError, match="one gradient for each of 1 variables"):
        compute_conflict({"a": [None], "b": [None, None]})
    with pytest.raises(ValueError, match="at least one variable"):
        ConflictProbe(lambda: {}, [])


def two_towers(library):
    """A table, two shared layers and a tower for each of the tasks, of which the third has no loss."""
    library.utils.set_random_seed(0)
    layers = library.layers
    inputs = layers.Input([2], dtype="int32")
    shared = layers.Flatten()(layers.Embedding(5, 3, name="table")(inputs))
    for name in ("below", "above"):
        shared = layers.Dense(4, "tanh", name=name)(shared)
    outputs = [layers.Dense(1, name=name)(shared) for name in ("click", "like")]
    return library.Model(inputs, outputs)


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_a_models_tasks_meet_in_its_shared_layers(library):
    model = two_towers(library)
    computed = tf.Variable(0)
    traced = []

    def losses_fn(ids, weight):
        traced.append(ids)
        computed.assign_add(1)
        click, like = model(ids)
        return {
            "click": tf.reduce_mean(tf.square(click - 1.0)),
            "like": weight * tf.reduce_mean(tf.square(like + 1.0)),
            "idle": tf.constant(1.0),
        }

    ids = tf.constant([[1, 2], [2, 2], [4, 0]])
    shared = find_shared_variables(model, losses_fn, ids, tf.constant(1.0))
    assert computed.numpy() == 0
    assert [variable is wanted for variable, wanted in zip(shared, model.trainable_variables[1:5], strict=True)] == (
        [True] * 4
    )

    probe = ConflictProbe(losses_fn, shared, model_name=model.name)
    traced.clear()
    usual, heavy = probe(ids, tf.constant(1.0)), probe(ids, tf.constant(40.0))
    assert len(traced) == 1
    assert list(heavy.layers) == ["below", "above"]
    for layer in heavy.layers:
        assert heavy.layers[layer]["like"] == pytest.approx(40 * usual.layers[layer]["like"], rel=1e-5)
        assert heavy.layers[layer]["click"] == pytest.approx(usual.layers[layer]["click"], rel=1e-5)
        assert heavy.layers[layer]["idle"] == 0.0
    assert heavy.cosine("click", "like") == pytest.approx(usual.cosine("click", "like"), abs=1e-5)

    natives = [variable if library is tf_keras else variable.value for variable in shared]
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_fn(ids, tf.constant(1.0))
    by_hand = compute_conflict({task: tape.gradient(loss, natives) for task, loss in losses.items()})
    assert by_hand.norms == pytest.approx(usual.norms, rel=1e-5)
    np.testing.assert_allclose(by_hand.cosines, usual.cosines, atol=1e-5)


# Accumulators.


@pytest.mark.parametrize(
    ("library", "make"),
    [
        (tf_keras, tf_keras.optimizers.Adagrad),
        (tf_keras, optimizers.Adagrad),
        (tf_keras, optimizers.ClippyAdagrad),
        (tf_keras, lambda: tf_keras.mixed_precision.LossScaleOptimizer(optimizers.Adagrad())),
        (keras, keras.optimizers.Adagrad),
        (keras, optimizers3.Adagrad),
        (keras, lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adagrad())),
    ],
)
def test_accumulators_are_found_in_the_order_of_the_variables(library, make):
    model = library.Sequential([library.layers.Dense(2), library.layers.Dense(1)])
    model.build([None, 3])
    variables = model.trainable_variables
    optimizer = make()
    assert find_adagrad_accumulators(optimizer, variables) is None
    optimizer.build(variables)
    if library is keras:
        natives = [variable.value for variable in variables]
        assert find_adagrad_accumulators(optimizer, natives)[1] is find_adagrad_accumulators(optimizer, variables)[1]
    for i, accumulator in enumerate(find_adagrad_accumulators(optimizer, variables)):
        accumulator.assign(tf.fill(accumulator.shape, float(i)))
    order = [2, 0, 3]
    found = find_adagrad_accumulators(optimizer, [variables[i] for i in order])
    assert [tuple(each.shape) for each in found] == [tuple(variables[i].shape) for i in order]
    assert [float(tf.reduce_max(tf.convert_to_tensor(each))) for each in found] == order
    assert find_adagrad_accumulators(optimizer, [tf.Variable([1.0])]) is None


@pytest.mark.parametrize(
    "optimizer", [tf_keras.optimizers.SGD(), tf_keras.optimizers.Ftrl(), keras.optimizers.Ftrl(), object()]
)
def test_what_is_no_adagrad_has_no_accumulators(optimizer):
    variable = keras.Variable([1.0]) if isinstance(optimizer, keras.optimizers.Optimizer) else tf.Variable([1.0])
    if hasattr(optimizer, "build"):
        optimizer.build([variable])
    assert find_adagrad_accumulators(optimizer, [variable]) is None


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_a_models_accumulators_precondition_its_sharpness(library):
    model = library.Sequential([library.layers.Dense(1)])
    model.build([None, 3])
    optimizer = library.optimizers.Adagrad(initial_accumulator_value=4.0)
    optimizer.build(model.trainable_variables)
    accumulators = find_adagrad_accumulators(optimizer, model.trainable_variables)
    x = tf.constant(np.random.default_rng(0).normal(size=(8, 3)), tf.float32)
    found = compute_sharpness(
        lambda: tf.reduce_mean(tf.square(model(x) - 1.0)),
        model.trainable_variables,
        accumulators=accumulators,
        tolerance=1e-5,
    )
    assert found.preconditioned == pytest.approx(found.sharpness / 2.0, rel=1e-3)

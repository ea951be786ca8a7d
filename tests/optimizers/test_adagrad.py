"""ClippyAdagrad: numbers by hand, a NumPy reference, properties, limits, and the contract of every optimizer."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from steadyrank.optimizers import ClippyAdagrad, WarmUp

EPSILON = 1e-7


def reference(w, accumulators, g, *, eta, relative=0.5, absolute=1e-2, epsilon=EPSILON):
    """Algorithm 1 in float64: returns weights, accumulators and sigma."""
    accumulators = accumulators + g**2
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(g == 0, 0.0, eta * g / np.sqrt(accumulators + epsilon))
        room = np.where(step == 0, 1.0, (relative * np.abs(w) + absolute) / np.abs(step))
    sigma = min(1.0, room.min(initial=1.0))
    return w - sigma * step, accumulators, sigma


def apply(optimizer, variable, gradient):
    optimizer.apply_gradients([(tf.convert_to_tensor(gradient, variable.dtype), variable)])


class TestByHand:
    def test_one_coordinate_binds_all(self):
        # G = 0 + 9 and 0 + 16, r = 3/3 and 4/4, steps 0.1 and 0.1; allowed 0.5 * 1 + 0.01 and 0.5 * 0.08 + 0.01 = 0.05.
        w = tf.Variable([1.0, 0.08])
        optimizer = ClippyAdagrad(0.1, initial_accumulator_value=0.0, epsilon=0.0, export_clipping_factors=True)
        apply(optimizer, w, [3.0, 4.0])
        np.testing.assert_allclose(w.numpy(), [1.0 - 0.05, 0.08 - 0.05], rtol=1e-6)
        np.testing.assert_allclose(float(optimizer.clipping_factors[0]), 0.5, rtol=1e-6)

    def test_the_accumulator_takes_the_whole_gradient_first(self):
        # G = 0.25 + 0.75 = 1 before r = sqrt(0.75) / 1, and takes the unclipped gradient though sigma is far below 1.
        w = tf.Variable([0.0])
        optimizer = ClippyAdagrad(1.0, initial_accumulator_value=0.25, epsilon=0.0, export_clipping_factors=True)
        apply(optimizer, w, [np.sqrt(0.75)])
        np.testing.assert_allclose(optimizer._accumulators[0].numpy(), [1.0], rtol=1e-6)
        np.testing.assert_allclose(float(optimizer.clipping_factors[0]), 0.01 / np.sqrt(0.75), rtol=1e-6)
        np.testing.assert_allclose(w.numpy(), [-0.01], rtol=1e-6)

    def test_delayed_accumulator_with_the_clipped_gradient(self):
        # r = 2 / sqrt(4), step 1, allowed 0.25: sigma 0.25, and the accumulator takes (0.25 * 2)^2.
        w = tf.Variable([0.0])
        optimizer = ClippyAdagrad(
            1.0,
            initial_accumulator_value=4.0,
            absolute_threshold=0.25,
            epsilon=0.0,
            use_standard_accumulator_update=False,
            clip_accumulator_update=True,
        )
        apply(optimizer, w, [2.0])
        np.testing.assert_allclose(w.numpy(), [-0.25], rtol=1e-6)
        np.testing.assert_allclose(optimizer._accumulators[0].numpy(), [4.25], rtol=1e-6)

    def test_accumulator_relative_threshold_adds_to_what_is_allowed(self):
        # G = 0 + 4: 1/sqrt(G) = 0.5, step 1; allowed 0.01 + 0.1 * 0.5 = 0.06.
        w = tf.Variable([0.0])
        optimizer = ClippyAdagrad(1.0, 0.0, accumulator_relative_threshold=0.1, epsilon=0.0)
        apply(optimizer, w, [2.0])
        np.testing.assert_allclose(w.numpy(), [-0.06], rtol=1e-6)

    def test_sparse_rows_bind_and_move_alone(self):
        # Row 1 moves by step 1 with allowed 0.5 * 1 + 0.01; row 0 is 0 and would bind, but is not touched.
        table = tf.Variable([[0.0], [1.0], [0.0]])
        optimizer = ClippyAdagrad(1.0, 0.0, epsilon=0.0)
        gradient = tf.IndexedSlices(tf.constant([[2.0]]), tf.constant([1]), (3, 1))
        optimizer.apply_gradients([(gradient, table)])
        np.testing.assert_allclose(table.numpy(), [[0.0], [0.49], [0.0]], rtol=1e-6)


def test_matches_the_numpy_reference_over_random_steps():
    rng = np.random.default_rng(7)
    start = rng.normal(scale=0.1, size=(7, 5))
    w, accumulators = start.copy(), np.full(start.shape, 0.1)
    variable = tf.Variable(start.astype(np.float32))
    optimizer = ClippyAdagrad(0.3, export_clipping_factors=True)
    sigmas = []
    for step in range(200):
        g = rng.normal(scale=10.0 ** rng.uniform(-3, 3), size=w.shape) * (rng.random(w.shape) > 0.2)
        apply(optimizer, variable, g.astype(np.float32))
        w, accumulators, sigma = reference(w, accumulators, g, eta=0.3)
        sigmas.append(sigma)
        np.testing.assert_allclose(variable.numpy(), w, rtol=2e-4, atol=2e-5, err_msg=f"weights differ in step {step}")
        factor = float(optimizer.clipping_factors[0])
        np.testing.assert_allclose(factor, sigma, rtol=2e-3, err_msg=f"sigma differs in step {step}")
    # The comparison is worth something only if both kinds of step occurred.
    assert min(sigmas) < 0.1
    assert max(sigmas) == 1.0


finite = st.floats(-1e6, 1e6, width=32)
arrays = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=finite)


class TestProperties:
    @settings(deadline=None, max_examples=60)
    @given(w=arrays, seed=st.integers(0, 1000), scale=st.floats(1e-6, 1e6), eta=st.floats(1e-4, 10.0))
    def test_no_coordinate_moves_further_than_it_may(self, w, seed, scale, eta):
        g = (np.random.default_rng(seed).normal(size=w.shape) * scale).astype(np.float32)
        variable = tf.Variable(w)
        apply(ClippyAdagrad(eta), variable, g)
        moved = np.abs(variable.numpy().astype(np.float64) - w)
        allowed = 0.5 * np.abs(w.astype(np.float64)) + 1e-2
        # Rounding of w - step to float32 adds at most half a unit in the last place of the result.
        assert (moved <= allowed * (1 + 1e-5) + np.spacing(np.abs(variable.numpy()))).all()

    @settings(deadline=None, max_examples=40)
    @given(w=arrays, seed=st.integers(0, 1000))
    def test_below_the_threshold_it_is_adagrad_to_the_bit(self, w, seed):
        g = np.random.default_rng(seed).normal(size=w.shape).astype(np.float32)
        clipped, plain = tf.Variable(w), tf.Variable(w)
        # A step of Adagrad is at most eta, and 1e-2 is always allowed.
        apply(ClippyAdagrad(9e-3), clipped, g)
        apply(ClippyAdagrad(9e-3, exclude_from_clipping=[".*"]), plain, g)
        np.testing.assert_array_equal(clipped.numpy(), plain.numpy())

    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 1000), factor=st.floats(1.0, 1e4))
    def test_all_coordinates_keep_their_direction(self, seed, factor):
        rng = np.random.default_rng(seed)
        g = (rng.normal(size=6) * factor).astype(np.float32)
        variable = tf.Variable(np.zeros(6, np.float32))
        apply(ClippyAdagrad(5.0), variable, g)
        step = g / np.sqrt(0.1 + g.astype(np.float64) ** 2)
        # One sigma for the variable: what was moved is a multiple of what was asked for.
        ratio = -variable.numpy()[g != 0] / step[g != 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


class TestLimits:
    def test_without_bound_it_equals_keras_adagrad(self):
        rng = np.random.default_rng(0)
        ours, theirs = tf.Variable(rng.normal(size=(4, 3))), tf.Variable(np.zeros((4, 3)))
        theirs.assign(ours)
        clippy = ClippyAdagrad(0.5, variable_relative_threshold=0.0, absolute_threshold=1e30)
        adagrad = tf_keras.optimizers.Adagrad(0.5)
        for _ in range(20):
            g = rng.normal(size=(4, 3))
            apply(clippy, ours, g)
            apply(adagrad, theirs, g)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)

    def test_with_nothing_allowed_nothing_moves(self):
        w = tf.Variable([0.0, 3.0])
        apply(ClippyAdagrad(1.0, variable_relative_threshold=0.0, absolute_threshold=0.0), w, [1.0, 1.0])
        np.testing.assert_array_equal(w.numpy(), [0.0, 3.0])

    def test_a_huge_rate_still_moves_by_what_is_allowed(self):
        w = tf.Variable([2.0])
        apply(ClippyAdagrad(1e20), w, [1.0])
        np.testing.assert_allclose(w.numpy(), [2.0 - 1.01], rtol=1e-6)


class TestContract:
    def test_a_variable_without_gradient_stays(self):
        touched, idle = tf.Variable([1.0]), tf.Variable([1.0])
        ClippyAdagrad(0.1).apply_gradients([(tf.constant([1.0]), touched), (None, idle)])
        assert touched.numpy()[0] != 1.0
        assert idle.numpy()[0] == 1.0

    def test_a_scalar_and_a_zero_variable_and_a_zero_gradient(self):
        scalar, zero, still = tf.Variable(1.0), tf.Variable([0.0, 0.0]), tf.Variable([1.0, 2.0])
        optimizer = ClippyAdagrad(0.1, initial_accumulator_value=0.0, epsilon=0.0)
        gradients = [tf.constant(1.0), tf.constant([1.0, 0.0]), tf.zeros(2)]
        optimizer.apply_gradients(zip(gradients, [scalar, zero, still], strict=True))
        np.testing.assert_allclose(scalar.numpy(), 0.9, rtol=1e-6)
        np.testing.assert_allclose(zero.numpy(), [-0.01, 0.0], rtol=1e-6)
        np.testing.assert_array_equal(still.numpy(), [1.0, 2.0])

    def test_an_empty_sparse_gradient_changes_nothing(self):
        table = tf.Variable([[1.0], [2.0]])
        optimizer = ClippyAdagrad(0.1, export_clipping_factors=True)
        empty = tf.IndexedSlices(tf.zeros([0, 1]), tf.zeros([0], tf.int64), (2, 1))
        optimizer.apply_gradients([(empty, table)])
        np.testing.assert_array_equal(table.numpy(), [[1.0], [2.0]])
        assert float(optimizer.clipping_factors[0]) == 1.0

    def test_repeated_ids_are_summed_and_equal_the_dense_gradient(self):
        start = np.arange(8, dtype=np.float32).reshape(4, 2)
        sparse, dense = tf.Variable(start), tf.Variable(start)
        values = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]], np.float32)
        summed = np.zeros_like(start)
        np.add.at(summed, [2, 0, 2], values)
        a, b = ClippyAdagrad(3.0), ClippyAdagrad(3.0)
        a.apply_gradients([(tf.IndexedSlices(values, tf.constant([2, 0, 2]), (4, 2)), sparse)])
        apply(b, dense, summed)
        np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-6)

    def test_a_sparse_gradient_stays_sparse(self):
        table = tf.Variable(tf.ones([1000, 4]), name="table")
        optimizer = ClippyAdagrad(0.1)
        optimizer.build([table])

        @tf.function
        def step(values, indices):
            optimizer.apply_gradients([(tf.IndexedSlices(values, indices, (1000, 4)), table)])

        graph = step.get_concrete_function(tf.TensorSpec([3, 4]), tf.TensorSpec([3], tf.int64)).graph
        made = [out.shape for op in graph.get_operations() for out in op.outputs if op.type != "ReadVariableOp"]
        assert made
        assert not [shape for shape in made if shape.rank and shape[0] == 1000]

    def test_eager_equals_graph(self):
        rng = np.random.default_rng(3)
        gradients = rng.normal(size=(10, 6)).astype(np.float32) * 100
        eager, graph = tf.Variable(tf.ones(6)), tf.Variable(tf.ones(6))
        a, b = ClippyAdagrad(0.7), ClippyAdagrad(0.7)
        compiled = tf.function(lambda g: b.apply_gradients([(g, graph)]))
        for g in gradients:
            apply(a, eager, g)
            compiled(g)
        np.testing.assert_array_equal(eager.numpy(), graph.numpy())

    def test_two_replicas_equal_one(self, two_replicas):
        rng = np.random.default_rng(5)
        gradients = rng.normal(size=(5, 2, 6)).astype(np.float32) * 30
        one = tf.Variable(tf.ones(6))
        single = ClippyAdagrad(3.0, export_clipping_factors=True)
        with two_replicas.scope():
            shared = tf.Variable(tf.ones(6))
            mirrored = ClippyAdagrad(3.0, export_clipping_factors=True)

        @tf.function
        def step(per_replica):
            two_replicas.run(lambda g: mirrored.apply_gradients([(g, shared)]), args=(per_replica,))

        factors = []
        for halves in gradients:

            def half(context, halves=halves):
                return halves[context.replica_id_in_sync_group]

            step(two_replicas.experimental_distribute_values_from_function(half))
            apply(single, one, halves.sum(axis=0))
            for copy in two_replicas.experimental_local_results(shared):
                np.testing.assert_allclose(copy.numpy(), one.numpy(), rtol=1e-6)
            [ours], [theirs] = single.read_explanations().values(), mirrored.read_explanations().values()
            np.testing.assert_allclose(theirs.factor, ours.factor, rtol=1e-6)
            factors.append(ours.factor)
        assert min(factors) < 0.5

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_dtype_is_kept(self, dtype):
        w = tf.Variable(tf.ones(3, dtype))
        optimizer = ClippyAdagrad(0.1)
        apply(optimizer, w, tf.ones(3, dtype))
        assert w.dtype == dtype
        assert optimizer._accumulators[0].dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_allclose(tf.cast(w, tf.float64).numpy(), 1 - 0.1 / np.sqrt(1.1), rtol=1e-2)

    def test_checkpoint_and_resume_to_the_bit(self, tmp_path):
        gradients = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32) * 20

        def run(path, steps, restore):
            w = tf.Variable(tf.ones(5))
            optimizer = ClippyAdagrad(WarmUp(0.5, 6), export_clipping_factors=True)
            optimizer.build([w])
            checkpoint = tf.train.Checkpoint(w=w, optimizer=optimizer)
            if restore:
                checkpoint.read(path).assert_existing_objects_matched()
            for g in steps:
                apply(optimizer, w, g)
            checkpoint.write(path)
            return w.numpy(), optimizer.read_explanations()

        whole, factors = run(str(tmp_path / "whole"), gradients, restore=False)
        run(str(tmp_path / "parts"), gradients[:4], restore=False)
        parts, same_factors = run(str(tmp_path / "parts"), gradients[4:], restore=True)
        np.testing.assert_array_equal(whole, parts)
        assert factors == same_factors

    def test_configuration_round_trip_of_every_argument(self):
        other = {
            "learning_rate": 0.7,
            "initial_accumulator_value": 0.3,
            "variable_relative_threshold": 0.25,
            "accumulator_relative_threshold": 0.125,
            "absolute_threshold": 0.0625,
            "epsilon": 0.5,
            "export_clipping_factors": True,
            "clip_accumulator_update": True,
            "use_standard_accumulator_update": False,
            "name": "other",
            "exclude_from_clipping": ("table", "bias"),
        }
        parameters = inspect.signature(ClippyAdagrad.__init__).parameters
        named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD,) and n != "self"}
        assert set(named) == set(other), "an argument is missing here"
        assert not [n for n, p in named.items() if p.default == other[n]], "these values must not be defaults"
        optimizer = ClippyAdagrad(**other)
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert isinstance(restored, ClippyAdagrad)
        assert restored.get_config() == optimizer.get_config()
        for name, value in other.items():
            kept = getattr(restored, name)
            assert (pytest.approx(value) == float(kept)) if name == "learning_rate" else kept == value

    def test_argument_order_is_that_of_tfrs(self):
        from tensorflow_recommenders.experimental.optimizers.clippy_adagrad import ClippyAdagrad as Theirs

        from steadyrank import models  # noqa: F401 - makes tf.keras Keras 2, which TFRS needs

        def order(cls):
            return [
                n for n, p in inspect.signature(cls.__init__).parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD
            ]

        assert order(ClippyAdagrad) == order(Theirs)


def test_embedding_tables_are_not_clipped_by_default():
    table = tf.Variable([[0.0]], name="user/embeddings")
    kernel = tf.Variable([[0.0]], name="shared/kernel")
    optimizer = ClippyAdagrad(1.0, 0.0, epsilon=0.0, export_clipping_factors=True)
    optimizer.apply_gradients([(tf.constant([[1.0]]), table), (tf.constant([[1.0]]), kernel)])
    np.testing.assert_allclose(table.numpy(), [[-1.0]])
    np.testing.assert_allclose(kernel.numpy(), [[-0.01]])
    assert list(optimizer.read_explanations()) == ["shared/kernel:0"]


def test_reading_keeps_the_smallest_factor_between_two_readings():
    w = tf.Variable([0.0])
    optimizer = ClippyAdagrad(1.0, 0.0, epsilon=0.0, export_clipping_factors=True, variable_relative_threshold=0.0)
    for g in (0.0, 1.0, 0.0):
        apply(optimizer, w, [g])
    [seen] = optimizer.read_explanations().values()
    assert (seen.factor, seen.clipped_steps) == (1.0, 1)
    assert seen.smallest_factor == pytest.approx(0.01)
    apply(optimizer, w, [0.0])
    [after] = optimizer.read_explanations().values()
    assert (after.smallest_factor, after.clipped_steps) == (1.0, 0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"variable_relative_threshold": -1.0}, "variable_relative_threshold"),
        ({"absolute_threshold": float("inf")}, "absolute_threshold"),
        ({"epsilon": "small"}, "epsilon"),
        ({"clip_accumulator_update": True}, "use_standard_accumulator_update"),
        ({"exclude_from_clipping": "bias"}, "exclude_from_clipping"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        ClippyAdagrad(**arguments)


def test_reading_needs_the_factors():
    with pytest.raises(ValueError, match="export_clipping_factors=True"):
        ClippyAdagrad().read_explanations()

"""What every optimizer guarantees, whatever its rule: steps, execution and precision."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import Adagrad, WarmUp
from tests.optimizers.optimizer_family import noise, read_accumulators, rows, take


class TestGradientsAndVariables:
    def test_a_variable_without_a_gradient_does_not_change(self, make):
        touched, idle = tf.Variable([1.0]), tf.Variable([1.0])
        optimizer = make()
        take(optimizer, ([1.0], touched), (None, idle))
        assert touched.numpy()[0] != 1.0
        assert idle.numpy()[0] == 1.0
        np.testing.assert_array_equal(read_accumulators(optimizer)[1], np.float32([0.1]))

    def test_a_scalar_moves_against_its_gradient(self, make):
        w = tf.Variable(1.0)
        take(make(), (2.0, w))
        assert 0.5 < w.numpy() < 1.0

    def test_a_variable_of_zeros_can_move_and_a_gradient_of_zeros_moves_nothing(self, make):
        zero, still = tf.Variable([0.0, 0.0]), tf.Variable([1.0, 2.0])
        take(make(initial_accumulator_value=0.0, epsilon=0.0), ([1.0, 0.0], zero), ([0.0, 0.0], still))
        assert -0.2 < zero.numpy()[0] < 0.0
        assert zero.numpy()[1] == 0.0
        np.testing.assert_array_equal(still.numpy(), [1.0, 2.0])

    def test_repeated_ids_are_summed_and_with_all_rows_touched_sparse_equals_dense(self, make):
        start, values = noise(4, 2, seed=1), noise(3, 6, 2, scale=20.0)
        ids = [2, 0, 3, 1, 2, 2]
        sparse, dense = tf.Variable(start), tf.Variable(start)
        a, b = make(), make()
        for step in values:
            summed = np.zeros((4, 2), np.float32)
            np.add.at(summed, ids, step)
            take(a, (rows(step, ids, sparse), sparse))
            take(b, (summed, dense))
        np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-5)
        np.testing.assert_allclose(read_accumulators(a)[0], read_accumulators(b)[0], rtol=1e-5)

    def test_untouched_rows_do_not_change(self, make):
        table = tf.Variable(noise(5, 2))
        before = table.numpy()
        optimizer = make(weight_decay=0.1)
        take(optimizer, (rows(noise(2, 2), [3, 1], table), table))
        changed = (table.numpy() != before).any(axis=1)
        assert changed.tolist() == [False, True, False, True, False]
        assert ((read_accumulators(optimizer)[0] != np.float32(0.1)).any(axis=1)).tolist() == changed.tolist()

    @pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 2, 3)], ids=str)
    @pytest.mark.parametrize("explain", [False, True])
    def test_a_sparse_gradient_without_rows_changes_nothing(self, make, shape, explain):
        variable = tf.Variable(noise(*shape))
        before = variable.numpy()
        optimizer = make(explain=explain)
        take(optimizer, (rows(np.zeros((0, *shape[1:])), [], variable), variable))
        np.testing.assert_array_equal(variable.numpy(), before)
        if explain:
            assert [float(factor) for factor in optimizer.clipping_factors] == [1.0]

    def test_a_sparse_gradient_stays_sparse(self, make):
        table = tf.Variable(tf.ones([1000, 4]))
        optimizer = make(explain=True, weight_decay=0.1)
        optimizer.build([table])

        @tf.function
        def step(values, indices):
            optimizer.apply_gradients([(tf.IndexedSlices(values, indices, (1000, 4)), table)])

        graph = step.get_concrete_function(tf.TensorSpec([3, 4]), tf.TensorSpec([3], tf.int64)).graph
        made = [out.shape for op in graph.get_operations() for out in op.outputs]
        assert len(made) > 20
        assert not [shape for shape in made if shape.rank and 1000 in shape.as_list()]

    def test_an_unknown_variable_is_named(self, make):
        optimizer = make()
        optimizer.build([tf.Variable([1.0])])
        other = tf.Variable([1.0], name="late")
        with pytest.raises(KeyError, match="late"):
            take(optimizer, ([1.0], other))


class TestExecution:
    def test_eager_equals_graph(self, make):
        gradients, slices = noise(6, 5, scale=30.0), noise(6, 2, 2, scale=30.0)

        def start():
            return [tf.Variable(tf.ones(5)), tf.Variable(tf.ones([4, 2])), make(0.7)]

        w, table, eager = start()
        w_in_graph, table_in_graph, in_graph = start()

        @tf.function
        def step(g, values):
            sparse = tf.IndexedSlices(values, tf.constant([3, 0], tf.int64), (4, 2))
            in_graph.apply_gradients([(g, w_in_graph), (sparse, table_in_graph)])

        for g, values in zip(gradients, slices, strict=True):
            take(eager, (g, w), (rows(values, [3, 0], table), table))
            step(g, values)
        np.testing.assert_allclose(w.numpy(), w_in_graph.numpy(), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(table.numpy(), table_in_graph.numpy(), rtol=1e-6, atol=1e-6)

    def test_a_train_step_compiled_as_a_whole_gives_the_same_numbers(self, make):
        x, y = noise(8, 3), noise(8, 2, seed=4, scale=10.0)

        def trained(compiled):
            w, b, optimizer = tf.Variable(noise(3, 2, seed=5)), tf.Variable(tf.zeros(2)), make()
            optimizer.build([w, b])

            @tf.function(jit_compile=compiled)
            def step(x, y):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(x @ w + b - y))
                optimizer.apply_gradients(zip(tape.gradient(loss, [w, b]), [w, b], strict=True))
                return loss

            losses = [float(step(tf.constant(x), tf.constant(y))) for _ in range(3)]
            step(tf.constant(np.full_like(x, np.nan)), tf.constant(y))
            return losses, w.numpy(), b.numpy(), optimizer.skipped_steps

        compiled, plain = trained(True), trained(False)
        for a, b in zip(compiled, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert compiled[0][0] > compiled[0][-1]
        assert compiled[3] == 1

    def test_two_replicas_equal_one(self, make, two_replicas):
        steps, slices = noise(5, 2, 6, scale=30.0), noise(5, 2, 3, 2, seed=4, scale=30.0)
        # On one replica only.
        steps[2, 1, 4] = np.nan
        slices[3, 0, 1, 0] = np.inf
        ids = np.array([[3, 1, 3], [4, 1, 0]])

        def start():
            return [tf.Variable(tf.ones(6)), tf.Variable(tf.ones([5, 2])), make(0.5, explain=True)]

        w, table, single = start()
        with two_replicas.scope():
            shared, shared_table, mirrored = start()

        def on_replica(g, values, ids):
            sparse = tf.IndexedSlices(values, ids, tf.constant([5, 2], tf.int64))
            mirrored.apply_gradients([(g, shared), (sparse, shared_table)])

        @tf.function
        def step(*halves):
            two_replicas.run(on_replica, args=halves)

        def halves(array):
            return two_replicas.experimental_distribute_values_from_function(
                lambda context: array[context.replica_id_in_sync_group]
            )

        seen = []
        for g, values in zip(steps, slices, strict=True):
            step(halves(g), halves(values), halves(ids))
            take(single, (g.sum(axis=0), w), (rows(values.reshape(6, 2), ids.reshape(6), table), table))
            for one, many in ((w, shared), (table, shared_table)):
                for copy in two_replicas.experimental_local_results(many):
                    np.testing.assert_allclose(copy.numpy(), one.numpy(), rtol=1e-5, atol=1e-6)
            factors = [[float(factor) for factor in optimizer.clipping_factors] for optimizer in (single, mirrored)]
            np.testing.assert_allclose(factors[0], factors[1], rtol=1e-5)
            assert single.skipped_steps == mirrored.skipped_steps
            seen.append(w.numpy())
        assert mirrored.skipped_steps == 2
        assert single.read_nonfinite_gradients() == mirrored.read_nonfinite_gradients()
        assert len(np.unique(seen, axis=0)) == 3

    def test_a_learning_rate_schedule_is_followed(self, make):
        gradients, rate = noise(5, 4, scale=0.3), WarmUp(0.4, 3)
        scheduled, by_hand = tf.Variable(tf.ones(4)), tf.Variable(tf.ones(4))
        a, b = make(rate), make(0.0)
        for step, g in enumerate(gradients):
            take(a, (g, scheduled))
            b.learning_rate = float(rate(step))
            take(b, (g, by_hand))
            np.testing.assert_array_equal(scheduled.numpy(), by_hand.numpy())
        assert float(a.learning_rate) == pytest.approx(0.4)


class TestPrecision:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_dtype_is_kept(self, make, dtype):
        w, exact = tf.Variable(tf.ones(3, dtype)), tf.Variable(tf.ones(3, "float64"))
        optimizer, other = make(), make()
        for _ in range(2):
            take(optimizer, (tf.ones(3, dtype), w))
            take(other, (tf.ones(3, "float64"), exact))
        assert w.dtype == dtype
        assert optimizer._accumulators[0].dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_allclose(tf.cast(w, tf.float64).numpy(), exact.numpy(), rtol=1e-2)
        np.testing.assert_allclose(read_accumulators(optimizer)[0], read_accumulators(other)[0], rtol=1e-2)

    @pytest.mark.parametrize("switch", ["clipnorm", "global_clipnorm"])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_norms_of_half_precision_gradients_are_taken_beyond_half_precision(self, switch, sparse):
        # 400^2 is more than float16 holds; the norm is 800.
        w = tf.Variable(tf.ones([4, 1], tf.float16))
        g = tf.fill([4, 1], tf.constant(400.0, tf.float16))
        if sparse:
            g = tf.IndexedSlices(g, tf.range(4), tf.constant([4, 1]))
        take(Adagrad(0.1, initial_accumulator_value=0.75, **{switch: 2.0}), (g, w))
        # Clipped to 1 each.
        np.testing.assert_allclose(w.numpy(), 1 - 0.1 / np.sqrt(1.75), rtol=1e-3)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_accumulators_of_half_precision_weights_grow_beyond_half_precision(self, dtype):
        # 300^2 is more than float16 holds, and 1e6 + 1 is not a number of bfloat16.
        w = tf.Variable(tf.ones(2, dtype))
        optimizer = Adagrad(0.1, initial_accumulator_value=1e6)
        take(optimizer, ([1.0, 300.0], w))
        np.testing.assert_allclose(read_accumulators(optimizer)[0], [1e6 + 1, 1e6 + 300.0**2], rtol=1e-6)

    def test_loss_scaling_of_half_precision(self, make):
        w, exact = tf.Variable(tf.ones(3, tf.float16)), tf.Variable(tf.ones(3))
        scaled = tf_keras.mixed_precision.LossScaleOptimizer(make(0.3), initial_scale=1024)
        plain = make(0.3)

        def step(x):
            with tf.GradientTape() as tape:
                loss = scaled.get_scaled_loss(tf.reduce_sum(w * tf.constant(x, tf.float16)))
            scaled.apply_gradients(zip(scaled.get_unscaled_gradients(tape.gradient(loss, [w])), [w], strict=True))

        for x in ([1.0, -2.0, 0.5], [0.25, 1.0, 4.0]):
            step(x)
            take(plain, (x, exact))
        np.testing.assert_allclose(w.numpy(), exact.numpy(), rtol=5e-3)
        before, accumulator = w.numpy(), read_accumulators(scaled.inner_optimizer)[0]
        # 100 times the scale is more than float16 holds.
        step([1.0, 100.0, 1.0])
        np.testing.assert_array_equal(w.numpy(), before)
        np.testing.assert_array_equal(read_accumulators(scaled.inner_optimizer)[0], accumulator)
        assert float(scaled.loss_scale) == 512
        step([1.0, 1.0, 1.0])
        assert (w.numpy() < before).all()

"""What every optimizer of the family keeps to, whatever its rule."""

from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import (
    RULES,
    AdaGC,
    Adagrad,
    AdaptiveGradientClipping,
    Clippy,
    ClippyAdagrad,
    GradientClipping,
    WarmUp,
    tfrs,
)
from tests.optimizers.rule_variants import list_variants

# Each rule once, with the granularity that asks most of the optimizer; ClippyAdagrad covers Clippy for whole variables.
FAMILY = {name: functools.partial(Adagrad, rule=list_variants(name)[-1]) for name in RULES} | {
    "agc": functools.partial(Adagrad, rule=AdaptiveGradientClipping(0.1, granularity="unit")),
    "gc": functools.partial(Adagrad, rule=GradientClipping(1.0, granularity="global")),
    "adagc": functools.partial(Adagrad, rule=AdaGC(start=2)),
    "ClippyAdagrad": ClippyAdagrad,
    "tfrs": tfrs.ClippyAdagrad,
}
CLIPPY = ["clippy", "ClippyAdagrad", "tfrs"]


@pytest.fixture(params=FAMILY)
def make(request):
    return maker(request.param)


def maker(name):
    """Makes the optimizer of a name, under one name for the switch of its explanations."""

    def make(learning_rate=0.1, *, explain=False, **arguments):
        switch = "export_clipping_factors" if name in ("ClippyAdagrad", "tfrs") else "explain"
        return FAMILY[name](learning_rate, **{switch: explain}, **arguments)

    return make


def take(optimizer, *pairs):
    """One step, from pairs of gradient and variable."""
    optimizer.apply_gradients([(g if tf.is_tensor(g) or g is None else tf.constant(g, v.dtype), v) for g, v in pairs])


def rows(values, ids, of):
    return tf.IndexedSlices(tf.constant(values, of.dtype), tf.constant(ids, tf.int64), tuple(of.shape))


def noise(*shape, seed=3, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def kept(optimizer):
    """The accumulators."""
    return [tf.convert_to_tensor(accumulator).numpy() for accumulator in optimizer._accumulators]


class TestGradientsAndVariables:
    def test_a_variable_without_gradient_stays(self, make):
        touched, idle = tf.Variable([1.0]), tf.Variable([1.0])
        optimizer = make()
        take(optimizer, ([1.0], touched), (None, idle))
        assert touched.numpy()[0] != 1.0
        assert idle.numpy()[0] == 1.0
        np.testing.assert_array_equal(kept(optimizer)[1], np.float32([0.1]))

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
        np.testing.assert_allclose(kept(a)[0], kept(b)[0], rtol=1e-5)

    def test_rows_that_no_id_names_stay(self, make):
        table = tf.Variable(noise(5, 2))
        before = table.numpy()
        optimizer = make(weight_decay=0.1)
        take(optimizer, (rows(noise(2, 2), [3, 1], table), table))
        changed = (table.numpy() != before).any(axis=1)
        assert changed.tolist() == [False, True, False, True, False]
        assert ((kept(optimizer)[0] != np.float32(0.1)).any(axis=1)).tolist() == changed.tolist()

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
        # On one replica alone.
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
        np.testing.assert_allclose(kept(optimizer)[0], kept(other)[0], rtol=1e-2)

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
        np.testing.assert_allclose(kept(optimizer)[0], [1e6 + 1, 1e6 + 300.0**2], rtol=1e-6)

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
        before, accumulator = w.numpy(), kept(scaled.inner_optimizer)[0]
        # 100 times the scale is more than float16 holds.
        step([1.0, 100.0, 1.0])
        np.testing.assert_array_equal(w.numpy(), before)
        np.testing.assert_array_equal(kept(scaled.inner_optimizer)[0], accumulator)
        assert float(scaled.loss_scale) == 512
        step([1.0, 1.0, 1.0])
        assert (w.numpy() < before).all()


class TestKeeping:
    def test_checkpoint_and_resume_to_the_bit(self, make, tmp_path):
        gradients = noise(6, 5, scale=20.0)
        gradients[1, 2] = np.nan

        def run(path, steps, restore):
            w = tf.Variable(tf.ones(5))
            optimizer = make(WarmUp(0.5, 6), explain=True)
            optimizer.build([w])
            checkpoint = tf.train.Checkpoint(w=w, optimizer=optimizer)
            if restore:
                checkpoint.read(path).assert_existing_objects_matched()
            for g in steps:
                take(optimizer, (g, w))
            checkpoint.write(path)
            return w, optimizer

        whole, optimizer = run(str(tmp_path / "whole"), gradients, restore=False)
        run(str(tmp_path / "parts"), gradients[:3], restore=False)
        parts, resumed = run(str(tmp_path / "parts"), gradients[3:], restore=True)
        np.testing.assert_array_equal(whole.numpy(), parts.numpy())
        np.testing.assert_array_equal(kept(optimizer)[0], kept(resumed)[0])
        assert int(optimizer.iterations) == int(resumed.iterations) == len(gradients)
        # The drop-in for TFRS writes what TFRS writes.
        if not isinstance(optimizer, tfrs.ClippyAdagrad):
            assert optimizer.skipped_steps == resumed.skipped_steps == 1
            assert optimizer.read_explanations() == resumed.read_explanations()

    @pytest.mark.parametrize("before", [False, True])
    def test_explanations_may_be_switched_between_saving_and_restoring(self, make, tmp_path, before):
        def start(explain):
            w, b = tf.Variable(tf.ones(5)), tf.Variable(1.0)
            optimizer = make(0.5, explain=explain)
            optimizer.build([w, b])
            return w, b, optimizer, tf.train.Checkpoint(w=w, b=b, optimizer=optimizer)

        w, b, optimizer, checkpoint = start(before)
        for g in noise(3, 5, scale=20.0):
            take(optimizer, (g, w), (2.0, b))
        path = checkpoint.write(str(tmp_path / "checkpoint"))
        w2, b2, other, restored = start(not before)
        restored.read(path)
        for mine, theirs in zip(kept(other), kept(optimizer), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for this, of_w, of_b in ((optimizer, w, b), (other, w2, b2)):
            take(this, ([1.0, 2.0, 3.0, 4.0, 5.0], of_w), (2.0, of_b))
        np.testing.assert_array_equal(w.numpy(), w2.numpy())
        np.testing.assert_array_equal(b.numpy(), b2.numpy())

    def test_what_is_restored_before_the_first_step_is_saved_again(self, tmp_path):
        def start():
            w, optimizer = tf.Variable(tf.ones(3)), Adagrad(0.1)
            return w, optimizer, tf.train.Checkpoint(w=w, optimizer=optimizer)

        w, optimizer, checkpoint = start()
        take(optimizer, ([1.0, 2.0, 3.0], w))
        first = checkpoint.write(str(tmp_path / "first"))
        # As a resumed program does it: nothing is built yet when the checkpoint is read.
        w, optimizer, checkpoint = start()
        checkpoint.read(first)
        take(optimizer, ([1.0, 2.0, 3.0], w))
        np.testing.assert_allclose(kept(optimizer)[0], [2.1, 8.1, 18.1], rtol=1e-6)
        second = checkpoint.write(str(tmp_path / "second"))
        w, optimizer, checkpoint = start()
        optimizer.build([w])
        checkpoint.read(second).assert_existing_objects_matched()
        np.testing.assert_allclose(kept(optimizer)[0], [2.1, 8.1, 18.1], rtol=1e-6)

    def test_a_model_file_keeps_everything(self, make, tmp_path):
        model = dense_model(make(0.3, explain=True))
        steps = noise(4, 2, 1, scale=20.0), noise(4, 1, seed=4)
        for kernel, bias in zip(*(half[:2] for half in steps), strict=True):
            model.optimizer.apply_gradients([(kernel, model.weights[0]), (bias, model.weights[1])])
        model.save(tmp_path / "model.keras")
        loaded = tf_keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer) is type(model.optimizer)
        assert loaded.optimizer.get_config() == model.optimizer.get_config()
        for one in (model, loaded):
            for kernel, bias in zip(*(half[2:] for half in steps), strict=True):
                one.optimizer.apply_gradients([(kernel, one.weights[0]), (bias, one.weights[1])])
        for a, b in zip(model.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert int(loaded.optimizer.iterations) == 4
        assert loaded.optimizer.read_explanations() == model.optimizer.read_explanations()

    def test_a_model_that_was_never_trained_can_be_saved(self, tmp_path):
        dense_model(Adagrad(0.3)).save(tmp_path / "model.keras")
        loaded = tf_keras.models.load_model(tmp_path / "model.keras")
        assert float(loaded.optimizer.learning_rate) == pytest.approx(0.3)

    def test_a_model_file_keeps_the_moving_averages(self, tmp_path):
        model = dense_model(Adagrad(0.3, use_ema=True))
        for _ in range(3):
            model.optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
        model.save(tmp_path / "model.keras")
        loaded = tf_keras.models.load_model(tmp_path / "model.keras")
        for one in (model, loaded):
            one.optimizer.finalize_variable_values(one.trainable_variables)
        for a, b in zip(model.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def dense_model(optimizer):
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,))])
    model.compile(optimizer, "mse")
    return model


OWN = {
    "learning_rate": 0.7,
    "groups": {"kernel": GradientClipping(0.2)},
    "initial_accumulator_value": 0.3,
    "epsilon": 0.5,
    "use_standard_accumulator_update": False,
    "clip_accumulator_update": True,
    "exclude_from_clipping": ("table", "bias"),
    "name": "other",
}
OF_ADAGRAD = {
    **OWN,
    "rule": Clippy(0.25, 0.0625, 0.125, "row"),
    "explain": True,
    "skip_nonfinite": False,
    "gradient_limit": 1e5,
    "max_skipped_steps": 3,
    "jit_compile": False,
}
OF_CLIPPY = {
    **OWN,
    "variable_relative_threshold": 0.25,
    "accumulator_relative_threshold": 0.125,
    "absolute_threshold": 0.0625,
    "export_clipping_factors": True,
    "granularity": "row",
}
# TFRS's own values differ.
OF_TFRS = {**OF_CLIPPY, "use_standard_accumulator_update": True, "clip_accumulator_update": False}
OF_KERAS = {
    "weight_decay": 0.3,
    "clipnorm": 2.0,
    "use_ema": True,
    "ema_momentum": 0.7,
    "ema_overwrite_frequency": 5,
}


class TestConfiguration:
    @pytest.mark.parametrize(
        ("kind", "other"), [(Adagrad, OF_ADAGRAD), (ClippyAdagrad, OF_CLIPPY), (tfrs.ClippyAdagrad, OF_TFRS)]
    )
    def test_round_trip_of_every_argument(self, kind, other):
        parameters = inspect.signature(kind.__init__).parameters
        named = {n: p.default for n, p in parameters.items() if p.kind != p.VAR_KEYWORD and n != "self"}
        assert set(named) == set(other), "an argument is missing here"
        same = [n for n, default in named.items() if default == other[n]]
        # Both cannot be other than their defaults, one of which is False.
        assert same in ([], ["clip_accumulator_update"]), "these values must not be defaults"
        further = (
            {}
            if kind is Adagrad
            else {n: OF_ADAGRAD[n] for n in sorted(set(OF_ADAGRAD) - set(OWN) - {"rule", "explain"})}
        )
        optimizer = kind(**other, **further, **OF_KERAS)
        config = optimizer.get_config()
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert type(restored) is kind
        assert restored.get_config() == config
        for name, value in (other | further | OF_KERAS).items():
            expected = {
                "learning_rate": pytest.approx(0.7),
                "groups": {"kernel": GradientClipping(0.2).get_config()},
                "exclude_from_clipping": ["table", "bias"],
                "rule": OF_ADAGRAD["rule"].get_config(),
            }.get(name, value)
            assert config[name] == expected, name

    def test_a_schedule_survives(self, make):
        optimizer = make(WarmUp(0.4, 7))
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert restored.get_config() == optimizer.get_config()
        assert float(restored.learning_rate) == pytest.approx(0.4 / 7)

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"learning_rate": -0.1}, "learning_rate"),
            ({"learning_rate": np.float32(-0.1)}, "learning_rate"),
            ({"learning_rate": float("nan")}, "learning_rate"),
            ({"learning_rate": np.float64("inf")}, "learning_rate"),
            ({"learning_rate": "fast"}, "learning_rate"),
            ({"weight_decay": -0.1}, "weight_decay"),
            ({"initial_accumulator_value": -0.1}, "initial_accumulator_value"),
            ({"epsilon": "small"}, "epsilon"),
            ({"epsilon": float("inf")}, "epsilon"),
            ({"gradient_limit": -1.0}, "gradient_limit"),
            ({"gradient_limit": None}, "gradient_limit"),
            ({"max_skipped_steps": -1}, "max_skipped_steps"),
            ({"max_skipped_steps": 2.5}, "max_skipped_steps"),
            (
                {"clip_accumulator_update": True, "use_standard_accumulator_update": True},
                "use_standard_accumulator_update",
            ),
            ({"groups": "bias"}, "groups"),
            ({"groups": {"(": None}}, "groups"),
            ({"groups": {"bias": "klippy"}}, "groups"),
            ({"rul": None}, "rul"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("kind", [Adagrad, ClippyAdagrad, tfrs.ClippyAdagrad])
    def test_a_wrong_argument_is_named(self, kind, arguments, named):
        with pytest.raises((ValueError, TypeError), match=named):
            kind(**arguments)

    @pytest.mark.parametrize("kind", [ClippyAdagrad, tfrs.ClippyAdagrad])
    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"variable_relative_threshold": -1.0}, "variable_relative_threshold"),
            ({"accumulator_relative_threshold": float("nan")}, "accumulator_relative_threshold"),
            ({"absolute_threshold": float("inf")}, "absolute_threshold"),
            ({"exclude_from_clipping": "bias"}, "exclude_from_clipping"),
            ({"exclude_from_clipping": ["("]}, "exclude_from_clipping"),
            ({"granularity": "column"}, "granularity"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_of_clippy_is_named_as_the_user_knows_it(self, kind, arguments, named):
        with pytest.raises(ValueError, match=named):
            kind(**arguments)

    @pytest.mark.parametrize("kind", [float, np.float64, np.float32])
    def test_any_kind_of_number_will_do(self, kind):
        told = {"learning_rate": 0.5, "initial_accumulator_value": 0.25, "epsilon": 0.5, "absolute_threshold": 0.25}
        config = ClippyAdagrad(**{name: kind(value) for name, value in told.items()}).get_config()
        assert {name: config[name] for name in told} == told


class TestKerasArguments:
    @pytest.mark.parametrize("name", CLIPPY)
    def test_weight_decay_is_part_of_the_step_that_clippy_bounds(self, name):
        start = np.array([100.0, 0.0, -3.0], np.float32)
        w, optimizer = tf.Variable(start), maker(name)(1.0, weight_decay=10.0)
        relative, absolute = (0.1, 1e-7) if name == "tfrs" else (0.5, 1e-2)
        take(optimizer, ([0.0, 0.0, 0.0], w))
        moved = np.abs(w.numpy() - start)
        assert (moved <= (relative * np.abs(start) + absolute) * (1 + 1e-6)).all()
        assert moved.max() > 1

    def test_weight_decay_without_rule(self):
        w, spared = tf.Variable([2.0], name="w"), tf.Variable([2.0], name="bias")
        optimizer = Adagrad(0.5, weight_decay=0.1, initial_accumulator_value=1.0, epsilon=0.0)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        # r = 0 and 0.6 / sqrt(1 + 0.36 …): the gradient of the second is 3/4, G = 1 + 9/16, r = 0.6.
        take(optimizer, ([0.0], w), ([0.75], spared))
        np.testing.assert_allclose(w.numpy(), [2.0 - 0.5 * 0.1 * 2.0], rtol=1e-6)
        np.testing.assert_allclose(spared.numpy(), [2.0 - 0.5 * 0.6], rtol=1e-6)

    def test_moving_averages_follow_the_weights_and_replace_them(self, make):
        w = tf.Variable([1.0, 2.0])
        optimizer = make(0.1, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=3)
        average = w.numpy()
        for step, g in enumerate(noise(3, 2, scale=0.1)):
            # The same optimizer without averages tells where the weights go.
            take(optimizer, (g, w))
            if step < 2:
                average = 0.75 * average + 0.25 * w.numpy()
                np.testing.assert_allclose(optimizer._model_variables_moving_average[0].numpy(), average, rtol=1e-6)
        np.testing.assert_array_equal(w.numpy(), optimizer._model_variables_moving_average[0].numpy())

    @pytest.mark.parametrize("switch", ["clipnorm", "global_clipnorm", "clipvalue"])
    def test_gradients_are_clipped_by_keras_first(self, make, switch):
        g = [np.array([3.0, -4.0], np.float32), np.array([12.0], np.float32)]
        by_keras = {
            "clipnorm": [g[0] / 5 * 0.5, g[1] / 12 * 0.5],
            "global_clipnorm": [g[0] / 13 * 0.5, g[1] / 13 * 0.5],
            "clipvalue": [[0.5, -0.5], [0.5]],
        }[switch]
        clipped, plain = ([tf.Variable([1.0, 2.0]), tf.Variable([3.0])] for _ in range(2))
        take(make(0.1, **{switch: 0.5}), *zip(g, clipped, strict=True))
        take(make(0.1), *zip(by_keras, plain, strict=True))
        for a, b in zip(clipped, plain, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)

    def test_a_constraint_holds_after_the_step(self):
        w = tf.Variable([0.05, 3.0], constraint=lambda x: tf.maximum(x, 0.0))
        take(Adagrad(1.0), ([1.0, -1.0], w))
        assert w.numpy()[0] == 0.0
        assert w.numpy()[1] > 3.0

"""What every optimizer guarantees, whatever its rule: checkpoints, files, configurations and the arguments of Keras."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import Adagrad, Clippy, ClippyAdagrad, GradientClipping, WarmUp, tfrs
from tests.optimizers.optimizer_family import CLIPPY, FAMILY, make_factory, noise, read_accumulators, take


class TestSaving:
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
        np.testing.assert_array_equal(read_accumulators(optimizer)[0], read_accumulators(resumed)[0])
        assert int(optimizer.iterations) == int(resumed.iterations) == len(gradients)
        # Checkpoints of the drop-in have the contents of those of TFRS, without counts.
        if not isinstance(optimizer, tfrs.ClippyAdagrad):
            assert optimizer.skipped_steps == resumed.skipped_steps == 1
            assert optimizer.read_explanations() == resumed.read_explanations()

    @pytest.mark.parametrize("before", [False, True])
    def test_explanations_may_be_switched_on_or_off_between_saving_and_restoring(self, make, tmp_path, before):
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
        for mine, theirs in zip(read_accumulators(other), read_accumulators(optimizer), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for this, of_w, of_b in ((optimizer, w, b), (other, w2, b2)):
            take(this, ([1.0, 2.0, 3.0, 4.0, 5.0], of_w), (2.0, of_b))
        np.testing.assert_array_equal(w.numpy(), w2.numpy())
        np.testing.assert_array_equal(b.numpy(), b2.numpy())

    def test_a_checkpoint_restored_before_the_first_step_is_saved_again(self, tmp_path):
        def start():
            w, optimizer = tf.Variable(tf.ones(3)), Adagrad(0.1)
            return w, optimizer, tf.train.Checkpoint(w=w, optimizer=optimizer)

        w, optimizer, checkpoint = start()
        take(optimizer, ([1.0, 2.0, 3.0], w))
        first = checkpoint.write(str(tmp_path / "first"))
        # Like a resumed program, which reads the checkpoint before anything is built.
        w, optimizer, checkpoint = start()
        checkpoint.read(first)
        take(optimizer, ([1.0, 2.0, 3.0], w))
        np.testing.assert_allclose(read_accumulators(optimizer)[0], [2.1, 8.1, 18.1], rtol=1e-6)
        second = checkpoint.write(str(tmp_path / "second"))
        w, optimizer, checkpoint = start()
        optimizer.build([w])
        checkpoint.read(second).assert_existing_objects_matched()
        np.testing.assert_allclose(read_accumulators(optimizer)[0], [2.1, 8.1, 18.1], rtol=1e-6)

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

    def test_a_weights_file_restores_the_whole_optimizer_or_nothing(self, make, tmp_path):
        path = tmp_path / "model.weights.h5"
        model = dense_model(make(0.3))
        model.optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
        model.save_weights(path)
        unbuilt, built = dense_model(make(0.3)), dense_model(make(0.3))
        with pytest.warns(UserWarning, match="call optimizer.build"):
            unbuilt.load_weights(path)
        assert int(unbuilt.optimizer.iterations) == 0
        built.optimizer.build(built.trainable_variables)
        built.load_weights(path)
        assert int(built.optimizer.iterations) == 1
        for mine, theirs in zip(read_accumulators(built.optimizer), read_accumulators(model.optimizer), strict=True):
            np.testing.assert_array_equal(mine, theirs)

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


LOAD_AND_CONTINUE = """
import sys
import steadyrank.optimizers
import numpy as np
import tf_keras
x = np.random.default_rng(0).normal(size=(12, 2)).astype("float32")
for path in sys.argv[1:]:
    model = tf_keras.models.load_model(path)
    steps = int(model.optimizer.iterations)
    model.fit(x, x[:, :1], batch_size=4, shuffle=False, verbose=0)
    np.savez(path + ".npz", *model.get_weights(), steps=steps)
"""


class TestFreshProcess:
    """A process that imports only the package loads each format and continues to the same weights, to the bit."""

    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("saved")
        x = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
        schedule = tf_keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)
        cases = {
            **{f"{name}_warm_up": make_factory(name)(WarmUp(schedule, 5)) for name in FAMILY},
            "number": ClippyAdagrad(0.1),
            "decay": ClippyAdagrad(schedule, variable_relative_threshold=WarmUp(0.5, 4)),
            "of_keras": tf_keras.optimizers.Adagrad(WarmUp(0.1, 4)),
        }
        weights, paths = {}, []
        for case, optimizer in cases.items():
            model = dense_model(optimizer)
            model.fit(x, x[:, :1], batch_size=4, shuffle=False, verbose=0)
            # Keras's SavedModel has the optimizer's configuration, and no state.
            for ending in (".keras", ".h5", *([""] if case in ("number", "adagc_warm_up", "of_keras") else [])):
                paths.append(str(folder / f"{case}{ending}"))
                model.save(paths[-1])
            saved = model.get_weights()
            model.fit(x, x[:, :1], batch_size=4, shuffle=False, verbose=0)
            weights[case] = saved, model.get_weights()
        subprocess.run([sys.executable, "-c", LOAD_AND_CONTINUE, *paths], check=True)
        return weights, {path: np.load(f"{path}.npz") for path in paths}

    @pytest.mark.parametrize("ending", [".keras", ".h5"])
    def test_files_continue_to_the_bit(self, trained, ending):
        weights, loaded = trained
        paths = [path for path in loaded if path.endswith(ending)]
        assert len(paths) == len(weights)
        for path in paths:
            expected = weights[os.path.basename(path).removesuffix(ending)][1]
            assert loaded[path]["steps"] == 3, path
            for position, value in enumerate(expected):
                np.testing.assert_array_equal(loaded[path][f"arr_{position}"], value, err_msg=path)

    def test_a_saved_model_loads_and_trains(self, trained):
        _, loaded = trained
        paths = [path for path in loaded if not path.endswith((".keras", ".h5"))]
        assert len(paths) == 3
        # As with Keras's own optimizers, the steps start at 0.
        assert [int(loaded[path]["steps"]) for path in paths] == [0, 0, 0]
        assert all(np.isfinite(loaded[path]["arr_0"]).all() for path in paths)


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
# The defaults of TFRS differ.
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
        # These two options exclude each other, so one of them must have its default.
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
    def test_an_error_names_the_argument_of_clippy_adagrad(self, kind, arguments, named):
        with pytest.raises(ValueError, match=named):
            kind(**arguments)

    @pytest.mark.parametrize("kind", [float, np.float64, np.float32])
    def test_python_and_numpy_numbers_are_accepted(self, kind):
        report = {"learning_rate": 0.5, "initial_accumulator_value": 0.25, "epsilon": 0.5, "absolute_threshold": 0.25}
        config = ClippyAdagrad(**{name: kind(value) for name, value in report.items()}).get_config()
        assert {name: config[name] for name in report} == report


class TestKerasArguments:
    @pytest.mark.parametrize("name", CLIPPY)
    def test_weight_decay_is_part_of_the_step_that_clippy_bounds(self, name):
        start = np.array([100.0, 0.0, -3.0], np.float32)
        w, optimizer = tf.Variable(start), make_factory(name)(1.0, weight_decay=10.0)
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
            # The average follows from the weights after each step.
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

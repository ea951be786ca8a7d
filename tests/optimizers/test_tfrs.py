"""The drop-in for the ClippyAdagrad of TensorFlow Recommenders, compared with the original."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow_recommenders.experimental.optimizers import clippy_adagrad as theirs

from steadyrank.optimizers import AdaGC, ClippyAdagrad, tfrs

FLAGS = {
    "as they are": {},
    "standard": {"use_standard_accumulator_update": True},
    "clipped accumulator": {"clip_accumulator_update": True},
    "accumulator threshold": {"accumulator_relative_threshold": 0.05},
    "all thresholds": {
        "initial_accumulator_value": 1.0,
        "variable_relative_threshold": 0.3,
        "accumulator_relative_threshold": 0.02,
        "absolute_threshold": 1e-3,
        "epsilon": 1e-3,
    },
    "no absolute threshold": {"absolute_threshold": 0.0, "clip_accumulator_update": True},
    "standard, from an empty accumulator": {"initial_accumulator_value": 0.0, "use_standard_accumulator_update": True},
    "all thresholds, clipped accumulator": {
        "variable_relative_threshold": 0.5,
        "accumulator_relative_threshold": 0.1,
        "absolute_threshold": 1e-2,
        "clip_accumulator_update": True,
    },
}


def start():
    rng = np.random.default_rng(8)
    shapes = {"kernel": (4, 3), "bias": (3,), "user/embeddings": (6, 2)}
    return [tf.Variable(rng.normal(scale=0.3, size=s).astype(np.float32), name=n) for n, s in shapes.items()]


def gradients(steps, seed=0):
    """Dense and sparse gradients over several powers of ten, with repeated ids."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        scales = 10.0 ** rng.uniform(-2, 2, size=3)
        dense = [
            tf.constant(scale * rng.normal(size=s), tf.float32)
            for scale, s in zip(scales[:2], [(4, 3), (3,)], strict=True)
        ]
        rows = tf.constant(scales[2] * rng.normal(size=(5, 2)), tf.float32)
        yield [*dense, tf.IndexedSlices(rows, tf.constant(rng.integers(0, 6, size=5)), tf.constant([6, 2]))]


def assert_same_steps(ours, mine, other, their, steps):
    """Applies the same gradients to both optimizers and compares all numbers after each step."""
    smallest = 1.0
    for n, step_gradients in enumerate(steps):
        ours.apply_gradients(zip(step_gradients, mine, strict=True))
        other.apply_gradients(zip(step_gradients, their, strict=True))
        for a, b in zip(mine, their, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=f"step {n}: {a.name}")
        for a, b in zip(ours._accumulators, other._accumulators, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, err_msg=f"step {n}: {a.name}")
        factors = [[float(factor) for factor in optimizer.clipping_factors] for optimizer in (ours, other)]
        np.testing.assert_allclose(*factors, rtol=1e-4, err_msg=f"step {n}: factors")
        smallest = min(smallest, *factors[0])
    assert smallest < 0.5, "no step was clipped, and nothing compared"


class TestArguments:
    def test_names_order_and_defaults_equal_those_of_tfrs(self):
        def arguments(kind):
            parameters = inspect.signature(kind.__init__).parameters.values()
            return [(p.name, p.default) for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]

        assert arguments(tfrs.ClippyAdagrad) == arguments(theirs.ClippyAdagrad)
        names = [name for name, _ in arguments(theirs.ClippyAdagrad)]
        assert [name for name, _ in arguments(ClippyAdagrad)] == names

    def test_shrink_by_references_has_the_arguments_of_tfrs(self):
        ours, their = (inspect.signature(module.shrink_by_references).parameters for module in (tfrs, theirs))
        assert list(ours) == list(their)

    def test_attributes_equal_those_of_tfrs(self):
        options = {"learning_rate": 0.2, "absolute_threshold": 0.3, "export_clipping_factors": True, "epsilon": 1e-3}
        ours, their = tfrs.ClippyAdagrad(**options), theirs.ClippyAdagrad(**options)
        names = [n for n in inspect.signature(theirs.ClippyAdagrad.__init__).parameters if n not in ("self", "kwargs")]
        for name in names:
            assert getattr(ours, name) == getattr(their, name), name
        assert list(ours.clipping_factors) == list(their.clipping_factors) == []

    def test_a_configuration_written_by_tfrs_can_be_read(self):
        their = theirs.ClippyAdagrad(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, True, True)
        ours = tfrs.ClippyAdagrad.from_config(their.get_config())
        for name in ("initial_accumulator_value", "absolute_threshold", "epsilon", "clip_accumulator_update"):
            assert getattr(ours, name) == getattr(their, name)

    def test_the_flag_that_tfrs_forgets_survives(self):
        optimizer = tfrs.ClippyAdagrad(use_standard_accumulator_update=True)
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert restored.use_standard_accumulator_update


class TestNumbers:
    @pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
    def test_the_same_steps(self, flags):
        flags = {"learning_rate": 0.1, "export_clipping_factors": True, **flags}
        ours, their = tfrs.ClippyAdagrad(**flags), theirs.ClippyAdagrad(**flags)
        assert_same_steps(ours, start(), their, start(), gradients(12))

    @pytest.mark.parametrize("spike", [1e6, 1e9])
    def test_the_same_step_from_an_empty_accumulator(self, spike):
        # The proposed step is about 1e19 times the allowed one.
        ours, their = tf.Variable([0.0, 1.0]), tf.Variable([0.0, 1.0])
        for module, w in ((tfrs, ours), (theirs, their)):
            optimizer = module.ClippyAdagrad(0.1, initial_accumulator_value=0.0)
            optimizer.apply_gradients([(tf.constant([spike, 1.0]), w)])
        assert their.numpy()[0] == pytest.approx(-1e-7)
        np.testing.assert_allclose(ours.numpy(), their.numpy(), rtol=1e-5)

    @pytest.mark.parametrize("keras", [{"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 0.5}], ids=str)
    def test_the_same_steps_under_keras_own_clipping(self, keras):
        flags = {"learning_rate": 0.1, "export_clipping_factors": True, **keras}
        ours, their = tfrs.ClippyAdagrad(**flags), theirs.ClippyAdagrad(**flags)
        assert_same_steps(ours, start(), their, start(), gradients(4))

    def test_the_same_steps_in_a_graph_with_a_schedule_and_moving_averages(self):
        rate = tf_keras.optimizers.schedules.ExponentialDecay(0.3, 2, 0.5)
        weights = []
        for module in (tfrs, theirs):
            held, optimizer = start(), module.ClippyAdagrad(rate, use_ema=True, ema_momentum=0.5)
            optimizer.build(held)

            @tf.function
            def step(given, held=held, optimizer=optimizer):
                optimizer.apply_gradients(zip(given, held, strict=True))

            for step_gradients in gradients(5):
                step(step_gradients)
            weights += [[v.numpy() for v in held]]
            optimizer.finalize_variable_values(held)
            weights[-1] += [v.numpy() for v in held]
        for a, b in zip(*weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    @settings(deadline=None, max_examples=60)
    @given(
        tensor=hnp.arrays(np.float32, (2, 2), elements=st.floats(-1e6, 1e6, width=32)),
        references=st.lists(hnp.arrays(np.float32, (2, 2), elements=st.floats(-1e6, 1e6, width=32)), max_size=2),
        factors=st.lists(st.floats(0, 10), min_size=2, max_size=2),
        absolute=st.floats(0, 10),
    )
    def test_shrink_by_references_is_the_same(self, tensor, references, factors, absolute):
        arguments = (tensor, references, factors[: len(references)], absolute)
        ours = tfrs.shrink_by_references(*arguments)
        their = theirs.shrink_by_references(tf.constant(tensor), *arguments[1:])
        for a, b in zip(ours, their, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (([1.0], [[1.0]], [-0.1], 0.0), "relative_factors"),
            (([1.0], [[1.0]], [0.1], -1.0), "absolute_factor"),
            (([1.0], [[1.0]], [], 0.1), "relative factor"),
        ],
    )
    def test_shrink_by_references_refuses_what_tfrs_refuses(self, arguments, named):
        with pytest.raises(ValueError, match=named):
            tfrs.shrink_by_references(*arguments)
        with pytest.raises(ValueError, match="factor"):
            theirs.shrink_by_references(*arguments)


class TestCheckpoints:
    @pytest.mark.parametrize("exported", [False, True])
    @pytest.mark.parametrize("built", [False, True])
    def test_a_checkpoint_of_tfrs_is_restored_and_training_continues_with_the_same_numbers(
        self, tmp_path, exported, built
    ):
        their_weights = start()
        their = theirs.ClippyAdagrad(0.1, export_clipping_factors=exported)
        for step_gradients in gradients(3):
            their.apply_gradients(zip(step_gradients, their_weights, strict=True))
        path = tf.train.Checkpoint(weights=their_weights, optimizer=their).save(tmp_path / "theirs")

        weights = [tf.Variable(tf.zeros_like(v), name=v.name.partition(":")[0]) for v in their_weights]
        ours = tfrs.ClippyAdagrad(0.7, export_clipping_factors=True)
        checkpoint = tf.train.Checkpoint(weights=weights, optimizer=ours)
        if built:
            ours.build(weights)
            checkpoint.restore(path).assert_existing_objects_matched()
        else:
            checkpoint.restore(path)
            ours.build(weights)
        assert int(ours.iterations) == 3
        assert float(ours.learning_rate) == pytest.approx(0.1)
        for a, b in zip(ours._accumulators, their._accumulators, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

        # Not every checkpoint contains the factors that are compared below.
        went_on = theirs.ClippyAdagrad(0.1, export_clipping_factors=True)
        went_on.build(their_weights)
        for a, b in zip(went_on._accumulators, their._accumulators, strict=True):
            a.assign(b)
        assert_same_steps(ours, weights, went_on, their_weights, gradients(6, seed=1))

    def test_training_resumes_to_the_bit(self, tmp_path):
        whole, steps = start(), list(gradients(6))
        optimizer = tfrs.ClippyAdagrad(0.1)
        for step_gradients in steps:
            optimizer.apply_gradients(zip(step_gradients, whole, strict=True))
        parts = self.resumed(tmp_path, steps, lambda: tfrs.ClippyAdagrad(0.1))
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

    def test_training_resumes_to_the_bit_with_a_rule_that_keeps_state(self, tmp_path):
        def make():
            return tfrs.ClippyAdagrad(0.1, groups={"kernel": AdaGC(start=2)})

        whole, steps, optimizer = start(), list(gradients(6)), make()
        for step_gradients in steps:
            optimizer.apply_gradients(zip(step_gradients, whole, strict=True))
        for a, b in zip(whole, self.resumed(tmp_path, steps, make), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())

    @staticmethod
    def resumed(tmp_path, steps, make):
        path = ""
        for half in (steps[:3], steps[3:]):
            weights, optimizer = start(), make()
            optimizer.build(weights)
            checkpoint = tf.train.Checkpoint(weights=weights, optimizer=optimizer)
            if path:
                checkpoint.restore(path).assert_existing_objects_matched()
            for step_gradients in half:
                optimizer.apply_gradients(zip(step_gradients, weights, strict=True))
            path = checkpoint.save(tmp_path / "ours")
        return weights


def test_the_drop_in_passes_the_tests_of_tfrs(tmp_path):
    found = importlib.util.find_spec("tensorflow_recommenders.experimental.optimizers.clippy_adagrad_test")
    assert found is not None, "this release of TFRS does not carry its tests"
    source = Path(found.origin).read_text()
    import_line = "from tensorflow_recommenders.experimental.optimizers import clippy_adagrad\n"
    assert source.count(import_line) == 1
    file = tmp_path / "test_theirs.py"
    file.write_text(source.replace(import_line, "from steadyrank.optimizers import tfrs as clippy_adagrad\n"))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        cwd=tmp_path,
        env=os.environ | {"TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    passed = int(re.search(r"(\d+) passed", ran.stdout)[1])
    assert passed >= len(re.findall(r"def test_", source)) > 10

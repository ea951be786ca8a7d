"""Rollbacks with optimizers and learning rates of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.pipeline.divergence.recovery.test_rollback import STEPS, fit, list_kinds, make_model, make_monitor

LEGACY = tf_keras.optimizers.legacy
SCHEDULES = tf_keras.optimizers.schedules


def constant(step):
    return 0.1 + 0.0 * tf.cast(step, tf.float32)


def compile_keras2(optimizer):
    model = make_model(tf_keras, 0.1)
    model.compile(optimizer, "mse")
    return model


def make_wide_deep():
    """A model with a list of optimizers. The first one updates the bias of the linear part only."""
    tf_keras.utils.set_random_seed(0)
    deep = tf_keras.Sequential([tf_keras.layers.Dense(1, kernel_initializer="zeros")])
    model = tf_keras.experimental.WideDeepModel(tf_keras.experimental.LinearModel(use_bias=False), deep)
    model.compile([LEGACY.SGD(0.05), tf_keras.optimizers.SGD(0.05, momentum=0.1)], "mse")
    return model


def make_composite():
    import tensorflow_recommenders

    model = make_model(tf_keras, 0.1)
    kernel, bias = LEGACY.SGD(0.1, momentum=0.1), LEGACY.SGD(0.1)
    parts = [(kernel, lambda: [model.weights[0]]), (bias, lambda: [model.weights[1]])]
    model.compile(tensorflow_recommenders.experimental.optimizers.CompositeOptimizer(parts), "mse")
    return model


def read_rates(*optimizers):
    return [float(np.asarray(optimizer.learning_rate)) for optimizer in optimizers]


def check_recovery(model, monitor, *callbacks):
    fit(model, monitor, *callbacks)
    assert list_kinds(monitor).count("rollback") == monitor.rollback_count == 1, monitor.events
    assert monitor.step == STEPS
    assert monitor.health == "healthy"
    assert monitor.problems == []
    [event] = [event for event in monitor.events if event.kind == "rollback"]
    assert "learning rate 0.05 times the original" in event.evidence


class TestKeras2:
    @pytest.mark.parametrize("rate", [0.1, SCHEDULES.PiecewiseConstantDecay([10_000], [0.1, 0.05]), lambda: 0.1])
    def test_a_legacy_optimizer(self, rate):
        model = compile_keras2(LEGACY.SGD(rate, momentum=0.1))
        check_recovery(model, make_monitor())
        np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)
        if rate == 0.1:
            assert read_rates(model.optimizer) == pytest.approx([0.005])
        else:
            assert model.optimizer._hyper["learning_rate"] is rate

    def test_a_list_of_optimizers(self):
        model = make_wide_deep()
        check_recovery(model, make_monitor(warmup_steps=0))
        assert read_rates(*model.optimizer) == pytest.approx([0.05 * 0.05] * 2)

    def test_a_composite_optimizer(self):
        model = make_composite()
        check_recovery(model, make_monitor())
        assert read_rates(*model.optimizer.optimizers) == pytest.approx([0.005] * 2)
        np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)

    def test_a_loss_scaling_optimizer(self):
        model = compile_keras2(
            tf_keras.mixed_precision.LossScaleOptimizer(tf_keras.optimizers.SGD(0.1, momentum=0.1), initial_scale=2.0)
        )
        check_recovery(model, make_monitor())
        assert read_rates(model.optimizer) == pytest.approx([0.005])

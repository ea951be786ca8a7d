"""Models that run in sessions of TensorFlow 1, as after ``tf.compat.v1.disable_eager_execution()``."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor

X = np.random.default_rng(0).normal(size=(128, 4)).astype(np.float32)


def fit(labels, monitor=None):
    with tf.Graph().as_default(), tf.compat.v1.Session().as_default():
        tf_keras.utils.set_random_seed(3)
        layers = tf_keras.layers
        model = tf_keras.Sequential(
            [tf_keras.Input((4,)), layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(1)]
        )
        model.compile("adam", "mse")
        callbacks = [] if monitor is None else [monitor]
        history = model.fit(X, labels, batch_size=16, epochs=4, verbose=0, callbacks=callbacks).history
        return history["loss"], model.get_weights()


@pytest.mark.parametrize("arguments", [{}, {"on_full": "rollback"}, {"probes": False, "on_full": "stop"}])
def test_a_monitor_reads_logs_and_changes_no_number(arguments, tmp_path):
    monitor = DivergenceMonitor(every=4, bundles=tmp_path, **arguments)
    losses, weights = fit(X.sum(axis=1), monitor)
    expected_losses, expected_weights = fit(X.sum(axis=1))
    assert losses == expected_losses
    for weight, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert (monitor.verdict, monitor.step) == ("healthy", 32)
    [problem] = monitor.problems
    assert "eager execution is disabled" in problem


def test_weights_that_are_not_finite_are_found():
    labels = X.sum(axis=1)
    labels[40] = np.nan
    monitor = DivergenceMonitor(every=4, on_full="rollback")
    losses, _ = fit(labels, monitor)
    assert (monitor.verdict, len(losses)) == ("full", 1)
    assert "no_rollback" in [event.kind for event in monitor.events]
    assert len(monitor.problems) == 1

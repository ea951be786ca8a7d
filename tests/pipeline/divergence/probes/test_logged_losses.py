"""The losses of models whose ``train_step`` computes its loss itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence.probes.logged_losses import measure_logs
from steadyrank.pipeline.divergence.signal_recorder import Signal
from tests.pipeline.divergence.conftest import KERAS_VERSIONS

STEPS, ROWS = 128, 16


def list_names(results, signals=()) -> list[str]:
    return [signal.name for signal in measure_logs(results, list(signals))]


def test_entries_that_are_named_a_loss_are_read():
    one, counter, vector = tf.constant(1.0), tf.constant(1), tf.ones([2])
    assert list_names({"loss": one, "kl_loss": one, "auc": one}) == ["logged_loss", "logged_loss/kl"]
    assert list_names({"elbo": one, "step": counter, "parts": vector}) == ["logged_value/elbo"]
    assert list_names({"loss": one}, [Signal("loss/click", one)]) == []
    assert list_names([one]) == []


class OwnStep(tf_keras.Sequential):
    """The loss of the step, as in Keras's guide."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compiled_loss(y, self(x, training=True))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss}


class MeanStep(keras.Sequential):
    """A mean over the epoch, under another name."""

    def __init__(self, layers):
        super().__init__(layers)
        self.tracker = keras.metrics.Mean(name="total_loss")

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"total_loss": self.tracker.result()}


@pytest.mark.parametrize(("version", "model_class", "task"), [("keras2", OwnStep, ""), ("keras3", MeanStep, "total")])
@pytest.mark.parametrize("shift", [1.0, 1e6])
def test_the_loss_of_an_own_train_step_is_judged(version, model_class, task, shift):
    library, monitor_class = KERAS_VERSIONS[version]
    library.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(STEPS * ROWS, 5)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    y[80 * ROWS :] *= shift
    model = model_class([library.Input((5,)), library.layers.Dense(8, "tanh"), library.layers.Dense(1)])
    # The optimizer clips gradients, so the weights stay finite.
    model.compile(library.optimizers.SGD(0.02, clipnorm=1.0), "mse")
    monitor = monitor_class(on_full="stop")
    model.fit(x, y, ROWS, epochs=2, shuffle=False, verbose=0, callbacks=[monitor])
    if shift == 1.0:
        assert (monitor.verdict, monitor.events) == ("healthy", [])
    else:
        events = [(event.step, event.kind, event.task) for event in monitor.events if event.kind != "feature_shift"]
        assert events[0] == (81, "out_of_range", task)
        assert ("full_divergence", task) in [event[1:] for event in events]

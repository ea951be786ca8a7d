"""Probes in the steps of other people's models: Keras 2, Keras 3, replicas, compiled steps; against the same by hand."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence import Detector, DivergenceMonitor
from steadyrank.pipeline.divergence import keras3 as for_keras3
from steadyrank.pipeline.divergence.probes import Probes, get_layer_name

KERAS = {"keras2": (tf_keras, DivergenceMonitor), "keras3": (keras, for_keras3.DivergenceMonitor)}
ROWS = 32


@pytest.fixture(params=KERAS)
def either(request):
    """The modules ``keras`` and the monitor's class of Keras 2 and of Keras 3."""
    return KERAS[request.param]


def data(steps: int = 12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * ROWS, 6)).astype(np.float32)
    return x, {
        "click": (x[:, :1] + rng.normal(size=(len(x), 1)) > 0).astype(np.float32),
        "minutes": x[:, 1:2] * 3.0 + 1.0,
    }


def two_tasks(k, rate: float = 0.05, **compiled):
    """A functional model with two towers over a shared layer."""
    k.utils.set_random_seed(1)
    inputs = k.Input((6,))
    shared = k.layers.Dense(16, "relu", name="bottom")(inputs)
    outputs = {
        "click": k.layers.Dense(1, "sigmoid", name="click")(shared),
        "minutes": k.layers.Dense(1, name="minutes")(shared),
    }
    model = k.Model(inputs, outputs)
    losses = {"click": "binary_crossentropy", "minutes": "mse"}
    model.compile(optimizer=k.optimizers.SGD(rate), loss=losses, **compiled)
    return model


def shown(monitor, spans):
    """The monitor, which keeps the windows that its detector is shown."""
    judge = monitor._detector.observe_window
    monitor._detector.observe_window = lambda *window: spans.append(window) or judge(*window)
    return monitor


def fit(model, monitor, x, y, epochs: int = 1):
    return model.fit(x, y, batch_size=ROWS, epochs=epochs, shuffle=False, verbose=0, callbacks=[monitor])


@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 4}, {"jit_compile": True}, {"run_eagerly": True}])
def test_a_spike_of_one_step_is_told_with_its_step_and_task(either, compiled):
    k, monitor_class = either
    x, y = data(64)
    y["minutes"][40 * ROWS : 41 * ROWS] *= -20.0
    monitor = monitor_class(every=8)
    fit(two_tasks(k, 0.01, **compiled), monitor, x, y)
    spikes = [(event.step, event.task) for event in monitor.events if event.kind == "spike"]
    assert spikes[0] == (41, "minutes")
    assert {task for _, task in spikes} == {"minutes"}
    assert monitor.verdict == "healthy"


def test_what_is_kept_equals_the_same_by_hand(either):
    k, monitor_class = either
    x, y = data()
    spans: list = []
    fit(two_tasks(k, rate=0.0), shown(monitor_class(every=12), spans), x, y)
    [(before, steps, signals)] = spans
    assert (before, steps) == (0, 12)
    predicted = {name: np.asarray(value, np.float64) for name, value in two_tasks(k)(x).items()}
    squared = ((predicted["minutes"] - y["minutes"]) ** 2).reshape(12, ROWS).mean(axis=1)
    variance = y["minutes"].reshape(12, ROWS).astype(np.float64).var(axis=1)
    p, share = predicted["click"].reshape(12, ROWS), y["click"].reshape(12, ROWS).astype(np.float64)
    crossed = -(share * np.log(p) + (1 - share) * np.log(1 - p)).mean(axis=1)
    for name, series in (
        ("loss/minutes", squared),
        ("normalized_loss/minutes", squared / variance),
        ("loss/click", crossed),
        ("loss", squared + crossed),
        ("calibration/click", p.mean(axis=1) / share.mean(axis=1)),
    ):
        reading = signals[name]
        assert reading.maximum == pytest.approx(series.max(), rel=1e-4), name
        assert reading.at_maximum == series.argmax() + 1, name
        assert reading.mean == pytest.approx(series.mean(), rel=1e-4), name


def test_norms_and_dead_units_equal_the_same_by_hand(either):
    k, monitor_class = either
    model = two_tasks(k, rate=0.0)
    kernel, bias = model.get_layer("bottom").get_weights()
    bias[:4] = -1e3
    model.get_layer("bottom").set_weights([kernel, bias])
    x, y = data(1)
    spans: list = []
    fit(model, shown(monitor_class(every=1), spans), x, y)
    signals = spans[0][2]
    assert signals["dead_units/bottom"].maximum == 4 / 16
    assert signals["parameter/bottom"].maximum == pytest.approx(np.sqrt((kernel**2).sum() + (bias**2).sum()), rel=1e-5)
    with tf.GradientTape() as tape:
        predicted = model(x)
        loss = tf.reduce_mean((predicted["minutes"] - y["minutes"]) ** 2) + tf.reduce_mean(
            k.losses.binary_crossentropy(y["click"], predicted["click"])
        )
    gradients = tape.gradient(loss, [getattr(v, "value", v) if k is keras else v for v in model.trainable_variables])
    assert signals["gradient/bottom"].maximum == pytest.approx(float(tf.linalg.global_norm(gradients[:2])), rel=1e-4)


def test_the_first_tensor_that_is_not_finite_is_named(either):
    k, monitor_class = either
    x, y = data(16)
    model = two_tasks(k)
    broken = model.get_layer("minutes")
    broken.set_weights([broken.get_weights()[0], np.array([np.nan], np.float32)])
    monitor = monitor_class(every=4)
    fit(model, monitor, x, y)
    [event] = [event for event in monitor.events if event.kind == "nonfinite_values"]
    # Only the tower is broken in the first step; through its gradient the rest follows.
    assert (event.step, event.layer) == (1, "minutes")


def test_watching_changes_no_number_and_leaves_the_model_as_it_came(either):
    k, monitor_class = either
    x, y = data()
    watched, alone = two_tasks(k), two_tasks(k)
    before = {name: getattr(watched, name) for name in ("train_step", "compute_loss")}
    history = fit(watched, monitor_class(every=4), x, y, epochs=2).history
    assert history == alone.fit(x, y, batch_size=ROWS, epochs=2, shuffle=False, verbose=0).history
    for ours, theirs in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {name: getattr(watched, name) for name in before} == before
    assert "call" not in vars(watched.get_layer("bottom"))


def test_a_second_fit_and_another_monitor_go_on(either):
    k, monitor_class = either
    x, y = data(16)
    model = two_tasks(k)
    first, second = monitor_class(every=8), monitor_class(every=8)
    spans: list = []
    fit(model, first, x, y)
    fit(model, shown(first, spans), x, y)
    assert [(before, steps) for before, steps, _ in spans] == [(16, 8), (24, 8)]
    spans.clear()
    fit(model, shown(second, spans), x, y)
    assert [(before, steps) for before, steps, _ in spans] == [(0, 8), (8, 8)]


def test_under_two_replicas(two_replicas):
    x, y = data(16)
    with two_replicas.scope():
        model = two_tasks(tf_keras)
    spans: list = []
    fit(model, shown(DivergenceMonitor(every=8), spans), x, y)
    assert [steps for _, steps, _ in spans] == [8, 8]
    assert spans[0][2]["loss/minutes"].finite == 8
    assert "dead_units/bottom" in spans[0][2]


def test_a_model_of_ones_own_with_a_loop_inside_is_watched_from_outside():
    class Looping(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = tf_keras.layers.Dense(6, "relu"), tf_keras.layers.Dense(1)

        def call(self, x):
            x = tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, self.inner(x)), [0, x])[1]
            return self.outer(x)

    model = Looping()
    model(tf.zeros([1, 6]))
    model.compile("sgd", "mse")
    x, y = data(8)
    spans: list = []
    fit(model, shown(DivergenceMonitor(every=8), spans), x, y["minutes"])
    assert "dead_units/inner" not in spans[0][2]
    assert any(name.startswith("activation/") for name in spans[0][2])


def test_a_loss_that_is_not_known_is_judged_by_its_growth():
    x, y = data(96)
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile(tf_keras.optimizers.SGD(0.01), tf_keras.losses.Huber())
    monitor = DivergenceMonitor(every=8, detector=Detector(patience_steps=16))
    worse = y["minutes"].copy()
    worse[64 * ROWS :] += 1000.0
    fit(model, monitor, x, worse)
    assert [event.kind for event in monitor.events if event.kind != "spike"] == ["out_of_range", "full_divergence"]


@pytest.mark.parametrize(
    ("variable", "model", "layer"),
    [
        ("ranker/shared/layer_0/kernel:0", "ranker", "shared/layer_0"),
        ("ranker/dcn/cross_1/dense_7/bias:0", "ranker", "dcn/cross_1"),
        ("ranker/encoder/video/embeddings:0", "ranker", "encoder/video"),
        ("dense/kernel:0", "sequential", "dense"),
        ("block/dense/kernel", "model", "block/dense"),
        ("kernel:0", "ranker", "kernel"),
    ],
)
def test_a_layer_is_at_most_two_levels_below_the_model(variable, model, layer):
    assert get_layer_name(variable, model) == layer


def test_on_jax_the_logs_are_watched():
    program = """
import keras, numpy as np
from steadyrank.pipeline.divergence.keras3 import DivergenceMonitor
model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(1e4), "mse")
monitor = DivergenceMonitor(every=4, on_full="stop")
x = np.random.default_rng(0).normal(size=(640, 4))
model.fit(x, x.sum(axis=1), epochs=3, verbose=0, callbacks=[monitor])
assert keras.backend.backend() == "jax" and monitor.verdict == "full", monitor.events
"""
    pytest.importorskip("jax")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**__import__("os").environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_probes_can_be_read_without_a_monitor():
    x, y = data(4)
    model = two_tasks(tf_keras)
    probes = Probes(model, limit=2.0)
    probes.attach()
    model.fit(x, y, batch_size=ROWS, verbose=0)
    steps, signals = probes.read()
    assert (steps, signals["loss"].finite) == (4, 4)

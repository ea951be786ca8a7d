"""Probes in the training steps of unmodified models, in Keras 2 and Keras 3, compared with NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence import Detector, DivergenceMonitor, Thresholds
from steadyrank.pipeline.divergence.probes import Probes

ROWS = 32


def make_data(steps: int = 12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * ROWS, 6)).astype(np.float32)
    return x, {
        "click": (x[:, :1] + rng.normal(size=(len(x), 1)) > 0).astype(np.float32),
        "minutes": x[:, 1:2] * 3.0 + 1.0,
    }


def make_two_task_model(library, rate: float = 0.05, **compiled):
    """A functional model with two towers over a shared layer."""
    library.utils.set_random_seed(1)
    inputs = library.Input((6,))
    shared = library.layers.Dense(16, "relu", name="bottom")(inputs)
    outputs = {
        "click": library.layers.Dense(1, "sigmoid", name="click")(shared),
        "minutes": library.layers.Dense(1, name="minutes")(shared),
    }
    model = library.Model(inputs, outputs)
    losses = {"click": "binary_crossentropy", "minutes": "mse"}
    model.compile(optimizer=library.optimizers.SGD(rate), loss=losses, **compiled)
    return model


class RecordingDetector(Detector):
    """A detector that remembers the windows that it observes, as (before, window)."""

    def __init__(self):
        super().__init__()
        self.windows = []

    def observe_window(self, before, window, *arguments):
        self.windows.append((before, window))
        return super().observe_window(before, window, *arguments)


def fit(model, monitor, x, y, epochs: int = 1):
    return model.fit(x, y, batch_size=ROWS, epochs=epochs, shuffle=False, verbose=0, callbacks=[monitor])


@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 4}, {"jit_compile": True}, {"run_eagerly": True}])
def test_a_spike_of_one_step_is_reported_with_its_step_and_task(keras_version, compiled):
    library, monitor_class = keras_version
    x, y = make_data(64)
    y["minutes"][40 * ROWS : 41 * ROWS] *= -20.0
    monitor = monitor_class(every=8)
    fit(make_two_task_model(library, 0.01, **compiled), monitor, x, y)
    spikes = [(event.step, event.task) for event in monitor.events if event.kind == "spike"]
    assert spikes[0] == (41, "minutes")
    assert {task for _, task in spikes} == {"minutes"}
    assert monitor.verdict == "healthy"


def test_losses_equal_numpy(keras_version):
    library, monitor_class = keras_version
    x, y = make_data()
    detector = RecordingDetector()
    fit(make_two_task_model(library, rate=0.0), monitor_class(every=12, detector=detector), x, y)
    [(before, window)] = detector.windows
    assert (before, window.steps) == (0, 12)
    predictions = {name: np.asarray(p, np.float64) for name, p in make_two_task_model(library)(x).items()}
    squared_error = ((predictions["minutes"] - y["minutes"]) ** 2).reshape(12, ROWS).mean(axis=1)
    variance = y["minutes"].reshape(12, ROWS).astype(np.float64).var(axis=1)
    p, labels = predictions["click"].reshape(12, ROWS), y["click"].reshape(12, ROWS).astype(np.float64)
    cross_entropy = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(axis=1)
    for name, series in (
        ("loss/minutes", squared_error),
        ("normalized_loss/minutes", squared_error / variance),
        ("loss/click", cross_entropy),
        ("loss", squared_error + cross_entropy),
        ("calibration/click", p.mean(axis=1) / labels.mean(axis=1)),
    ):
        signal = window.signals[name]
        assert signal.maximum == pytest.approx(series.max(), rel=1e-4), name
        assert signal.maximum_step == series.argmax() + 1, name
        assert signal.mean == pytest.approx(series.mean(), rel=1e-4), name


def test_norms_and_dead_units_equal_numpy(keras_version):
    library, monitor_class = keras_version
    model = make_two_task_model(library, rate=0.0)
    kernel, bias = model.get_layer("bottom").get_weights()
    bias[:4] = -1e3
    model.get_layer("bottom").set_weights([kernel, bias])
    x, y = make_data(1)
    detector = RecordingDetector()
    fit(model, monitor_class(every=1, detector=detector), x, y)
    signals = detector.windows[0][1].signals
    assert signals["dead_units/bottom"].maximum == 4 / 16
    assert signals["parameter/bottom"].maximum == pytest.approx(np.sqrt((kernel**2).sum() + (bias**2).sum()), rel=1e-5)
    with tf.GradientTape() as tape:
        predictions = model(x)
        loss = tf.reduce_mean((predictions["minutes"] - y["minutes"]) ** 2) + tf.reduce_mean(
            library.losses.binary_crossentropy(y["click"], predictions["click"])
        )
    variables = [getattr(v, "value", v) if library is keras else v for v in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    assert signals["gradient/bottom"].maximum == pytest.approx(float(tf.linalg.global_norm(gradients[:2])), rel=1e-4)


def test_the_first_layer_that_is_not_finite_is_named(keras_version):
    library, monitor_class = keras_version
    x, y = make_data(16)
    model = make_two_task_model(library)
    broken = model.get_layer("minutes")
    broken.set_weights([broken.get_weights()[0], np.array([np.nan], np.float32)])
    monitor = monitor_class(every=4)
    fit(model, monitor, x, y)
    [event] = [event for event in monitor.events if event.kind == "nonfinite_values"]
    # In the first step only this tower is broken; its gradient breaks the rest.
    assert (event.step, event.layer) == (1, "minutes")


def test_watching_changes_no_number_and_leaves_the_model_as_it_was(keras_version):
    library, monitor_class = keras_version
    x, y = make_data()
    watched, unwatched = make_two_task_model(library), make_two_task_model(library)
    methods = {name: getattr(watched, name) for name in ("train_step", "compute_loss")}
    history = fit(watched, monitor_class(every=4), x, y, epochs=2).history
    assert history == unwatched.fit(x, y, batch_size=ROWS, epochs=2, shuffle=False, verbose=0).history
    for ours, theirs in zip(watched.get_weights(), unwatched.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {name: getattr(watched, name) for name in methods} == methods
    assert "call" not in vars(watched.get_layer("bottom"))


def test_a_second_fit_continues_and_another_monitor_starts_anew(keras_version):
    library, monitor_class = keras_version
    x, y = make_data(16)
    model = make_two_task_model(library)
    first, second = RecordingDetector(), RecordingDetector()
    monitor = monitor_class(every=8, detector=first)
    fit(model, monitor, x, y)
    fit(model, monitor, x, y)
    assert [(before, window.steps) for before, window in first.windows] == [(0, 8), (8, 8), (16, 8), (24, 8)]
    fit(model, monitor_class(every=8, detector=second), x, y)
    assert [(before, window.steps) for before, window in second.windows] == [(0, 8), (8, 8)]


def test_works_under_two_replicas(two_replicas):
    x, y = make_data(16)
    with two_replicas.scope():
        model = make_two_task_model(tf_keras)
    detector = RecordingDetector()
    fit(model, DivergenceMonitor(every=8, detector=detector), x, y)
    assert [window.steps for _, window in detector.windows] == [8, 8]
    signals = detector.windows[0][1].signals
    assert signals["loss/minutes"].finite_count == 8
    assert "dead_units/bottom" in signals


def test_a_layer_inside_a_loop_is_left_out():
    class LoopingModel(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = tf_keras.layers.Dense(6, "relu"), tf_keras.layers.Dense(1)

        def call(self, x):
            x = tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, self.inner(x)), [0, x])[1]
            return self.outer(x)

    model = LoopingModel()
    model(tf.zeros([1, 6]))
    model.compile("sgd", "mse")
    x, y = make_data(8)
    detector = RecordingDetector()
    fit(model, DivergenceMonitor(every=8, detector=detector), x, y["minutes"])
    signals = detector.windows[0][1].signals
    assert "dead_units/inner" not in signals
    assert any(name.startswith("activation/") for name in signals)


def test_an_unknown_loss_is_judged_by_its_growth():
    x, y = make_data(96)
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile(tf_keras.optimizers.SGD(0.01), tf_keras.losses.Huber())
    monitor = DivergenceMonitor(every=8, detector=Detector(Thresholds(patience_steps=16)))
    labels = y["minutes"].copy()
    labels[64 * ROWS :] += 1000.0
    fit(model, monitor, x, labels)
    assert [event.kind for event in monitor.events if event.kind != "spike"] == ["out_of_range", "full_divergence"]


@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 8}, {"jit_compile": True}])
def test_a_feature_that_shifts_is_named_without_a_schema(keras_version, compiled):
    library, monitor_class = keras_version
    x = np.random.default_rng(0).normal(size=(160 * 16, 4)).astype(np.float32)
    x[100 * 16 : 101 * 16, 2] *= 1e6
    library.utils.set_random_seed(0)
    model = library.Sequential([library.layers.Dense(1)])
    model.compile(library.optimizers.SGD(1e-6), "mse", **compiled)
    monitor = monitor_class(every=8)
    model.fit(x, x[:, 0], batch_size=16, shuffle=False, verbose=0, callbacks=[monitor])
    shifts = [(event.step, event.feature) for event in monitor.events if event.kind == "feature_shift"]
    assert shifts == [(101, "x[2]")]
    # The step of this batch changes the weights so much that the loss stays high.
    diverged = [(event.kind, event.feature) for event in monitor.events if event.kind != "feature_shift"]
    assert diverged == [("out_of_range", "x[2]"), ("full_divergence", "x[2]")]


def test_probes_can_be_read_without_a_monitor():
    x, y = make_data(4)
    model = make_two_task_model(tf_keras)
    probes = Probes(model, loss_ratio=2.0)
    with probes.attached():
        model.fit(x, y, batch_size=ROWS, verbose=0)
    window = probes.read()
    assert (window.steps, window.signals["loss"].finite_count) == (4, 4)

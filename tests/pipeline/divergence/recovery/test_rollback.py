"""Rollbacks in plain fits of Keras 2 and Keras 3: healthy weights, the budget and the learning rate."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import Detector, DivergenceMonitor, Thresholds

ROWS, STEPS, SHIFT_STEP = 32, 384, 160


def make_shifted_data():
    """Makes data whose features are four times as large from step 160, so that the learning rate is too high."""
    x = np.random.default_rng(0).normal(size=(STEPS * ROWS, 8)).astype(np.float32)
    x[SHIFT_STEP * ROWS :] *= 4.0
    return x, x.sum(axis=1, keepdims=True) + 1.0


def make_model(library, rate, **compiled):
    library.utils.set_random_seed(0)
    layers = library.layers
    if library is keras:
        model = library.Sequential([library.Input((8,)), layers.Dense(1)])
    else:
        model = library.Sequential([layers.Dense(1, input_shape=(8,))])
    model.compile(optimizer=library.optimizers.SGD(rate, momentum=0.1), loss="mse", **compiled)
    return model


def make_monitor(monitor_class=DivergenceMonitor, **arguments):
    defaults = {"every": 8, "on_full": "rollback", "learning_rate_factor": 0.05, "warmup_steps": 16}
    return monitor_class(detector=Detector(Thresholds(patience_steps=16)), **(defaults | arguments))


def fit(model, *callbacks):
    model.fit(*make_shifted_data(), batch_size=ROWS, shuffle=False, verbose=0, callbacks=list(callbacks))


def list_kinds(monitor):
    return [event.kind for event in monitor.events if event.kind != "spike"]


@pytest.mark.parametrize("is_scheduled", [False, True])
@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 4}])
def test_a_training_that_diverges_is_rolled_back_and_continues(keras_version, is_scheduled, compiled):
    library, monitor_class = keras_version
    schedule = library.optimizers.schedules.PiecewiseConstantDecay([10_000], [0.1, 0.05])
    rate = schedule if is_scheduled else 0.1
    unwatched, model = make_model(library, rate, **compiled), make_model(library, rate, **compiled)
    fit(unwatched)
    assert not np.abs(unwatched.get_weights()[0]).max() <= 1e3
    monitor = make_monitor(monitor_class)
    fit(model, monitor)
    assert list_kinds(monitor)[-1] == "rollback"
    assert list_kinds(monitor).count("rollback") == monitor.rollback_count == 1
    assert (monitor.verdict, monitor.health) == ("micro", "healthy")
    np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)
    [event] = [event for event in monitor.events if event.kind == "rollback"]
    restored_step = event.values["restored_step"]
    assert restored_step <= SHIFT_STEP < event.step
    assert event.evidence == (
        f"restored the weights of step {restored_step:.0f}; learning rate 0.05 times the original, "
        "after 16 warm-up steps; rollback 1 of 3"
    )
    assert event.values == {
        "restored_step": restored_step,
        "learning_rate_factor": 0.05,
        "warmup_steps": 16.0,
        "count": 1.0,
        "max_rollbacks": 3.0,
    }


def test_steps_and_iterations_keep_counting(keras_version):
    library, monitor_class = keras_version
    model, monitor = make_model(library, 0.1), make_monitor(monitor_class)
    fit(model, monitor)
    assert int(model.optimizer.iterations) == monitor.step == STEPS


def test_the_learning_rate_reaches_its_final_value(keras_version):
    library, monitor_class = keras_version
    model, monitor = make_model(library, 0.1), make_monitor(monitor_class)
    fit(model, monitor)
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.1 * 0.05)


def test_a_budget_that_is_used_up_ends_training(keras_version):
    library, monitor_class = keras_version
    model = make_model(library, 0.1)
    monitor = make_monitor(monitor_class, learning_rate_factor=0.99, max_rollbacks=2, warmup_steps=0)
    fit(model, monitor)
    assert list_kinds(monitor).count("rollback") == 2
    assert list_kinds(monitor)[-1] == "no_rollback"
    assert monitor.events[-1].evidence == "all 2 rollbacks are used up"
    assert monitor.verdict == "full"
    assert monitor.step < STEPS


def test_without_healthy_weights_training_ends():
    model, monitor = make_model(tf_keras, 100.0), make_monitor()
    fit(model, monitor)
    assert list_kinds(monitor)[-1] == "no_rollback"
    assert monitor.events[-1].evidence.startswith("no healthy weights from before step ")
    assert monitor.step < STEPS


def test_the_state_keeps_the_budget_and_the_learning_rate():
    model, monitor = make_model(tf_keras, 0.1), make_monitor(max_rollbacks=1)
    fit(model, monitor)
    restored = make_monitor(max_rollbacks=1)
    restored.set_state(json.loads(json.dumps(monitor.get_state())))
    assert (restored.rollback_count, restored.step, restored.events) == (1, monitor.step, monitor.events)
    other = make_model(tf_keras, 0.1)
    restored.set_model(other)
    assert float(other.optimizer.learning_rate) == pytest.approx(0.1 * 0.05)

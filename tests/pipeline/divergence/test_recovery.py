"""Back to healthy weights: in plain fits of Keras 2 and Keras 3, on a budget, with the rate that was promised."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import Detector, DivergenceMonitor
from steadyrank.pipeline.divergence import keras3 as for_keras3
from steadyrank.pipeline.divergence.recovery import RollbackBudget

KERAS = {"keras2": (tf_keras, DivergenceMonitor), "keras3": (keras, for_keras3.DivergenceMonitor)}
ROWS, STEPS, SHIFT = 32, 384, 160


@pytest.fixture(params=KERAS)
def either(request):
    return KERAS[request.param]


def shifted_data():
    """From step 160 on the numbers are four times as large, for which the rate is too high."""
    x = np.random.default_rng(0).normal(size=(STEPS * ROWS, 8)).astype(np.float32)
    x[SHIFT * ROWS :] *= 4.0
    return x, x.sum(axis=1, keepdims=True) + 1.0


def linear(k, rate, **compiled):
    k.utils.set_random_seed(0)
    model = k.Sequential([k.Input((8,)), k.layers.Dense(1)] if k is keras else [k.layers.Dense(1, input_shape=(8,))])
    model.compile(optimizer=k.optimizers.SGD(rate, momentum=0.1), loss="mse", **compiled)
    return model


def monitor_of(monitor_class, **arguments):
    arguments = {"every": 8, "on_full": "rollback", "learning_rate_factor": 0.05, "warmup_steps": 16} | arguments
    return monitor_class(detector=Detector(patience_steps=16), **arguments)


def fit(model, monitor, epochs=1):
    model.fit(*shifted_data(), batch_size=ROWS, shuffle=False, verbose=0, epochs=epochs, callbacks=[monitor])


def kinds(monitor):
    return [event.kind for event in monitor.events if event.kind != "spike"]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 4}])
def test_a_run_that_diverges_is_rolled_back_and_goes_on(either, scheduled, compiled):
    k, monitor_class = either
    rate = k.optimizers.schedules.PiecewiseConstantDecay([10_000], [0.1, 0.05]) if scheduled else 0.1
    alone, model = linear(k, rate, **compiled), linear(k, rate, **compiled)
    alone.fit(*shifted_data(), batch_size=ROWS, shuffle=False, verbose=0)
    assert not np.isfinite(alone.get_weights()[0]).all() or np.abs(alone.get_weights()[0]).max() > 1e3
    monitor = monitor_of(monitor_class)
    fit(model, monitor)
    assert kinds(monitor)[-1] == "rollback"
    assert kinds(monitor).count("rollback") == monitor.rollback_count == 1
    assert (monitor.verdict, monitor.health) == ("micro", "healthy")
    np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)
    [event] = [event for event in monitor.events if event.kind == "rollback"]
    back = int(event.evidence.split("weights of step ")[1].split(";")[0])
    assert back <= SHIFT < event.step
    assert "the learning rate is 0.05 of what it was, after 16 steps of warm-up; rollback 1 of 3" in event.evidence


def test_steps_and_iterations_are_counted_on(either):
    k, monitor_class = either
    model, monitor = linear(k, 0.1), monitor_of(monitor_class)
    fit(model, monitor)
    assert int(model.optimizer.iterations) == monitor.step == STEPS


def test_the_rate_is_what_was_promised(either):
    k, monitor_class = either
    model, monitor = linear(k, 0.1), monitor_of(monitor_class)
    fit(model, monitor)
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.1 * 0.05)


def test_a_budget_that_is_used_up_ends_the_training(either):
    k, monitor_class = either
    model, monitor = (
        linear(k, 0.1),
        monitor_of(monitor_class, learning_rate_factor=0.99, max_rollbacks=2, warmup_steps=0),
    )
    fit(model, monitor)
    assert kinds(monitor).count("rollback") == 2
    assert kinds(monitor)[-1] == "no_rollback"
    assert monitor.events[-1].evidence == "the budget of 2 is used up"
    assert monitor.verdict == "full"
    assert monitor.step < STEPS


def test_without_healthy_weights_training_ends():
    model, monitor = linear(tf_keras, 100.0), monitor_of(DivergenceMonitor)
    fit(model, monitor)
    assert kinds(monitor)[-1] == "no_rollback"
    assert "no healthy weights from before step" in monitor.events[-1].evidence
    assert monitor.step < STEPS


def test_the_budget_survives_in_the_state():
    model, monitor = linear(tf_keras, 0.1), monitor_of(DivergenceMonitor, max_rollbacks=1)
    fit(model, monitor)
    again = monitor_of(DivergenceMonitor, max_rollbacks=1)
    again.set_state(json.loads(json.dumps(monitor.get_state())))
    assert (again.rollback_count, again.step, again.events) == (1, monitor.step, monitor.events)
    other = linear(tf_keras, 0.1)
    again.set_model(other)
    assert float(other.optimizer.learning_rate) == pytest.approx(0.1 * 0.05)


def test_the_rate_rises_in_a_straight_line():
    budget = RollbackBudget(max_rollbacks=3, learning_rate_factor=0.5, warmup_steps=4, used=2, since=100)
    assert [budget.share_at(step) for step in (100, 101, 103, 104, 999)] == [0.0625, 0.125, 0.25, 0.25, 0.25]
    assert RollbackBudget().share_at(7) == 1.0


@pytest.mark.parametrize(
    "arguments",
    [{"max_rollbacks": -1}, {"warmup_steps": -1}, {"learning_rate_factor": 0.0}, {"learning_rate_factor": 1.5}],
)
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        DivergenceMonitor(on_full="rollback", **arguments)

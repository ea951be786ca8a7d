"""The callback in plain fits: observation, actions after a divergence, and state."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence import Detector, Diverged, DivergenceMonitor, Event, Thresholds


def make_model(rate: float):
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dense(1)])
    model.compile(optimizer=tf_keras.optimizers.SGD(rate), loss="mse")
    return model


def make_data():
    x = np.random.default_rng(0).normal(size=(640, 4))
    return x, x.sum(axis=1)


def fit(rate: float, *callbacks: DivergenceMonitor):
    return make_model(rate).fit(*make_data(), batch_size=32, epochs=10, verbose=0, callbacks=list(callbacks))


class TestActions:
    def test_a_healthy_fit_is_observed_and_not_changed(self):
        monitor = DivergenceMonitor(every=5)
        watched = fit(0.01, monitor).history
        assert monitor.verdict == "healthy"
        assert watched == fit(0.01).history

    def test_stop_ends_a_fit_that_diverges(self):
        detector = Detector(Thresholds(patience_publications=2))
        monitor = DivergenceMonitor(every=5, on_full="stop", detector=detector)
        history = fit(1e3, monitor).history
        assert monitor.verdict == "full"
        assert len(history["loss"]) < 10

    def test_raise_raises_the_evidence(self):
        with pytest.raises(Diverged, match="loss not finite"):
            fit(1e3, DivergenceMonitor(every=5, on_full="raise"))

    def test_by_default_a_divergence_is_only_recorded(self):
        monitor = DivergenceMonitor(every=5)
        assert len(fit(1e3, monitor).history["loss"]) == 10
        record = monitor.to_dict()
        assert record["verdict"] == "full"
        assert "out_of_range" in [event["kind"] for event in record["events"]]
        assert set(record["events"][0]) == {"step", "kind", "task", "evidence", "layer", "feature", "values"}

    def test_without_probes_the_logs_are_judged(self):
        monitor = DivergenceMonitor(every=5, probes=False)
        fit(1e3, monitor)
        assert monitor.verdict == "full"

    def test_a_loop_that_reports_epochs_only_is_judged(self):
        model, monitor = make_model(0.01), DivergenceMonitor(on_full="stop")
        model.build((None, 4))
        monitor.set_model(model)
        monitor.on_train_begin()
        for epoch in range(3):
            monitor.on_epoch_end(epoch, {"loss": 1.0})
        assert (monitor.step, monitor.verdict) == (3, "healthy")
        model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
        monitor.on_epoch_end(3, {"loss": math.nan})
        assert monitor.verdict == "full"
        assert model.stop_training
        monitor.on_train_end()


class TestEvents:
    def test_on_event_gets_every_event_in_order(self):
        events: list[Event] = []
        monitor = DivergenceMonitor(every=5, on_event=events.append)
        fit(1e3, monitor)
        assert events == monitor.events
        assert events

    def test_verbose_prints_events(self, capsys):
        fit(1e3, DivergenceMonitor(every=5, verbose=1))
        assert "out of range: loss" in capsys.readouterr().out

    def test_events_are_not_printed_by_default(self, capsys):
        fit(1e3, DivergenceMonitor(every=5))
        assert capsys.readouterr().out == ""

    def test_steps_that_are_not_finite_are_recorded_as_a_full_divergence(self):
        monitor = DivergenceMonitor()
        event = monitor.record_nonfinite(7, "too many gradients were not finite")
        assert monitor.events == [event]
        assert (monitor.verdict, monitor.health) == ("full", "healthy")


class TestMetrics:
    def test_metrics_are_read_once(self):
        monitor = DivergenceMonitor(every=5)
        fit(0.01, monitor)
        monitor.add_metrics({"sharpness": 2.0})
        metrics = monitor.read_metrics()
        assert {"loss_max", "loss_max_step", "dead_units/dense", "sharpness"} - metrics.keys() <= {"dead_units/dense"}
        assert 1 <= metrics["loss_max_step"] <= 200
        assert monitor.read_metrics() == {}

    def test_a_publication_that_covers_steps_before_a_rollback_is_skipped(self):
        class Snapshots:
            def save_if_due(self, step, is_healthy):
                pass

            def restore(self, before):
                return 0

        monitor = DivergenceMonitor(on_full="rollback", snapshots=Snapshots())
        monitor.step = 100
        assert monitor.roll_back()
        assert monitor.observe_metrics(128, {"loss": math.nan}) == []
        assert [event.kind for event in monitor.observe_metrics(160, {"loss": math.nan})] == ["out_of_range"]


class TestState:
    def test_a_checkpoint_holds_the_monitor(self, tmp_path):
        monitor = DivergenceMonitor(every=5)
        fit(1e3, monitor)
        path = tf.train.Checkpoint(monitor=monitor.state).save(str(tmp_path / "checkpoint"))
        restored = DivergenceMonitor(every=5)
        tf.train.Checkpoint(monitor=restored.state).restore(path)
        assert json.dumps(restored.get_state()["detector"]) == json.dumps(monitor.get_state()["detector"])
        assert (restored.step, restored.verdict, restored.events) == (200, "full", monitor.events)


class TestArguments:
    def test_an_unknown_action_is_refused(self):
        with pytest.raises(ValueError, match="on_full must be one of None, 'stop', 'raise', 'rollback', got 'rollbak'"):
            DivergenceMonitor(on_full="rollbak")

    @pytest.mark.parametrize("every", [0, 2.5, True])
    def test_every_must_be_a_number_of_steps(self, every):
        with pytest.raises(ValueError, match="every must be an integer of 1 or more"):
            DivergenceMonitor(every=every)


def run_program(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        check=False,
    )


def test_the_package_imports_no_other_package_and_does_not_change_tf_keras():
    ran = run_program(
        "import sys, tensorflow as tf, steadyrank.pipeline.divergence, steadyrank.optimizers\n"
        "packages = {m.split('.')[2] for m in sys.modules if m.startswith('steadyrank.pipeline.')}\n"
        "assert packages == {'divergence'}, packages\n"
        "assert 'steadyrank.models' not in sys.modules and 'tensorflow_recommenders' not in sys.modules\n"
        "assert tf.keras.version().startswith('3')\n",
        PATH="",
    )
    assert ran.returncode == 0, ran.stderr


def test_on_jax_the_logs_are_judged_and_weights_rolled_back():
    pytest.importorskip("jax")
    program = """
import keras, numpy as np
from steadyrank.pipeline.divergence.keras3 import DivergenceMonitor
model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(1e4), "mse")
monitor = DivergenceMonitor(every=4, on_full="stop")
x = np.random.default_rng(0).normal(size=(640, 4))
model.fit(x, x.sum(axis=1), epochs=3, verbose=0, callbacks=[monitor])
assert keras.backend.backend() == "jax" and monitor.verdict == "full", monitor.events

# From step 160 on, the features are four times as large, so that the learning rate is too high.
x = np.random.default_rng(0).normal(size=(384 * 32, 8)).astype("float32")
x[160 * 32 :] *= 4.0
for rate in (0.1, lambda: 0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.1), "mse")
    monitor = DivergenceMonitor(every=8, on_full="rollback", learning_rate_factor=0.05, warmup_steps=16)
    model.fit(x, x.sum(axis=1, keepdims=True) + 1.0, batch_size=32, shuffle=False, verbose=0, callbacks=[monitor])
    [event] = [event for event in monitor.events if event.kind == "rollback"]
    assert event.values["restored_step"] <= 160 < event.step, event
    np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)
"""
    ran = run_program(program, KERAS_BACKEND="jax", PATH=os.environ["PATH"], HOME=os.environ.get("HOME", "/"))
    assert ran.returncode == 0, ran.stderr

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.training.preemption import Preempted
from tests.pipeline.training.small_runs import MemoryLog, SmallRun, make_config


class AtStep(tf_keras.callbacks.Callback):
    """Calls a function after one step of the run."""

    def __init__(self, run: SmallRun, step: int, function):
        super().__init__()
        self._run, self._step, self._function = run, step, function

    def on_train_batch_end(self, batch, logs=None):
        if self._run.state.step == self._step:
            self._function()


class Crash(Exception):
    pass


def crash() -> None:
    raise Crash


def test_each_day_is_evaluated_before_it_is_trained_on_and_the_last_one_is_held_out(tmp_path):
    run = SmallRun(tmp_path)
    holdout = run.train()
    lines = run.evaluations.lines
    assert [(line["step"], line["day"], line["kind"], line["rows"]) for line in lines] == [
        (0, "day_0", "progressive", 64),
        (8, "day_1", "progressive", 64),
        (16, "day_2", "holdout", 64),
    ]
    assert holdout["loss"] == lines[-1]["loss"]
    assert "rows" not in holdout


@pytest.mark.parametrize("step", [3, 6, 8, 13])
def test_a_run_that_crashed_continues_to_the_same_weights_and_metrics(tmp_path, step):
    undisturbed = SmallRun(tmp_path / "undisturbed")
    undisturbed.train()
    crashed = SmallRun(tmp_path / "run")
    with pytest.raises(Crash):
        crashed.train(AtStep(crashed, step, crash))
    resumed = SmallRun(tmp_path / "run")
    resumed.state.step = resumed.checkpoints.resume(pytest.fail)
    assert resumed.state.step <= step
    resumed.train()
    for weight, expected in zip(resumed.weights(), undisturbed.weights(), strict=True):
        assert np.array_equal(weight, expected)
    losses = {line["step"]: line["loss"] for line in undisturbed.publications.lines}
    assert all(line["loss"] == losses[line["step"]] for line in resumed.publications.lines)


@pytest.mark.parametrize("step", [2, 8])
def test_sigterm_saves_the_run_and_restores_the_old_handler(tmp_path, step):
    previous_handler = signal.getsignal(signal.SIGTERM)
    run = SmallRun(tmp_path)
    with pytest.raises(Preempted):
        run.train(AtStep(run, step, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) is previous_handler
    assert run.state.step == step
    assert SmallRun(tmp_path).checkpoints.resume(pytest.fail) == step


def test_a_run_that_stops_early_has_no_holdout_metrics(tmp_path):
    run = SmallRun(tmp_path)

    def stop() -> None:
        run.ranker.stop_training = True

    assert run.train(AtStep(run, 5, stop)) == {}
    assert run.state.step == 5
    assert [line["kind"] for line in run.evaluations.lines] == ["progressive"]


def test_gradients_that_stay_non_finite_end_the_run_as_diverged(tmp_path):
    run = SmallRun(tmp_path, make_config(max_skipped_steps=2, on_divergence="observe"), MemoryLog(poison_day=1))
    assert run.train() == {}
    event = run.monitor.events[-1]
    assert (event.kind, event.step) == ("nonfinite", run.state.step)
    assert run.monitor.verdict == "full"
    assert 8 < run.state.step <= 16


def test_gradients_that_stay_non_finite_cause_a_rollback_if_one_is_allowed(tmp_path):
    config = make_config(max_skipped_steps=2, on_divergence="rollback")
    run = SmallRun(tmp_path, config, MemoryLog((64, 64, 64, 64), poison_day=1))
    run.monitor = DivergenceMonitor(on_full="rollback", snapshots=run.checkpoints, max_rollbacks=5)
    run.checkpoints.attach_monitor(run.monitor)
    holdout = run.train()
    assert run.monitor.rollback_count >= 1
    assert run.state.step == 24
    assert np.isfinite(holdout["loss"])

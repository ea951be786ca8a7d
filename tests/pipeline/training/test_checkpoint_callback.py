from __future__ import annotations

import pytest
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.training.checkpoint_callback import CheckpointCallback
from steadyrank.pipeline.training.preemption import PreemptionSignal
from tests.pipeline.training.small_runs import SmallRun


@pytest.fixture
def run(tmp_path) -> SmallRun:
    return SmallRun(tmp_path)


def make_callback(run: SmallRun, preemption: PreemptionSignal | None = None, steps: int = 100) -> CheckpointCallback:
    callback = CheckpointCallback(4, run.checkpoints, run.state, run.monitor, preemption or PreemptionSignal())
    callback.set_model(run.ranker)
    callback.set_params({"steps": steps})
    return callback


def saved_steps(run: SmallRun) -> list[int]:
    return sorted(int(path.stem.removeprefix("ckpt-")) for path in run.checkpoints._path.glob("*.index"))


def take_steps(run: SmallRun, callback: tf_keras.callbacks.Callback, first: int, last: int) -> None:
    for step in range(first, last + 1):
        run.state.step = step
        callback.on_train_batch_end(step - 1)


def test_saves_every_four_steps(run):
    take_steps(run, make_callback(run), 1, 9)
    assert saved_steps(run) == [4, 8]


def test_counts_from_the_end_of_the_last_day(run):
    callback = make_callback(run)
    run.state.step = 3
    callback.on_epoch_end(0)
    take_steps(run, callback, 4, 8)
    assert saved_steps(run) == [7]


def test_leaves_the_last_step_of_a_day_to_the_loop(run):
    take_steps(run, make_callback(run, steps=4), 1, 4)
    assert saved_steps(run) == []


def test_saves_at_once_after_a_rollback(tmp_path):
    run = SmallRun(tmp_path)
    run.monitor = DivergenceMonitor(on_full="rollback", snapshots=run.checkpoints)
    run.monitor.set_model(run.ranker)
    run.checkpoints.attach_monitor(run.monitor)
    callback = make_callback(run)
    take_steps(run, callback, 1, 5)
    run.monitor.step = 5
    assert run.monitor.roll_back()
    take_steps(run, callback, 6, 7)
    assert saved_steps(run) == [4, 6]


def test_sigterm_saves_and_stops_training(run):
    preemption = PreemptionSignal()
    callback = make_callback(run, preemption)
    take_steps(run, callback, 1, 1)
    run.ranker.stop_training = False
    preemption.requested = True
    take_steps(run, callback, 2, 2)
    assert saved_steps(run) == [2]
    assert run.ranker.stop_training

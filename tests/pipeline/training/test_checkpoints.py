from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.optimizers import ClippyAdagrad
from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.training.checkpoints import Checkpoints


def ranker(seed: int) -> MultitaskRanker:
    tf_keras.utils.set_random_seed(seed)
    schema = Schema((Feature("x", "numerical", normalization="none"),), (Task("click", "binary"),))
    made = MultitaskRanker(schema, shared_units=(4,), tower_units=())
    made.compile(optimizer=ClippyAdagrad(0.1))
    made.optimizer.build(made.trainable_variables)
    return made


def first_weight(made: MultitaskRanker) -> float:
    return float(made.trainable_variables[0].numpy().ravel()[0])


def saved_at(path: Path, *positions: int) -> None:
    """Saves a ranker whose first weights are the position."""
    made = ranker(0)
    checkpoints = Checkpoints(path, made)
    for position in positions:
        made.trainable_variables[0].assign(made.trainable_variables[0] * 0 + position)
        checkpoints.save(position)


def test_the_newest_is_restored_with_its_position(tmp_path):
    saved_at(tmp_path, 10, 20)
    other, told = ranker(1), []
    assert Checkpoints(tmp_path, other).resume(told.append) == 20
    assert first_weight(other) == 20
    assert not told


def test_health_is_that_of_the_kept_ones(tmp_path):
    made = ranker(0)
    checkpoints = Checkpoints(tmp_path, made)
    monitor = DivergenceMonitor()
    checkpoints.attach_monitor(monitor)
    for position in (10, 20, 30, 40):
        if position == 30:
            monitor.observe_metrics(30, {"loss": math.nan})
        if position == 40:
            monitor.observe_metrics(40, {"loss": 1.0})
        checkpoints.save(position)
    assert json.loads((tmp_path / "health.json").read_text()) == {
        # The oldest, while none is old enough to be sure of.
        "ckpt-10": {"step": 10, "verdict": "healthy", "health": "healthy"},
        "ckpt-20": {"step": 20, "verdict": "healthy", "health": "healthy"},
        "ckpt-30": {"step": 30, "verdict": "micro", "health": "out_of_range"},
        "ckpt-40": {"step": 40, "verdict": "micro", "health": "healthy"},
    }
    assert sorted(file.stem for file in tmp_path.glob("*.index")) == ["ckpt-10", "ckpt-20", "ckpt-30", "ckpt-40"]


def unhealthy_from(path: Path, since: int, *positions: int) -> tuple[MultitaskRanker, Checkpoints]:
    """Saves a ranker whose first weights are the position, and which is out of range from a step on."""
    made = ranker(0)
    checkpoints, monitor = Checkpoints(path, made), DivergenceMonitor()
    checkpoints.attach_monitor(monitor)
    for position in positions:
        made.trainable_variables[0].assign(made.trainable_variables[0] * 0 + position)
        if position >= since:
            monitor.observe_metrics(position, {"loss": math.nan})
        checkpoints.save(position)
    return made, checkpoints


def test_the_newest_healthy_one_is_kept_and_rolled_back_to(tmp_path):
    made, checkpoints = unhealthy_from(tmp_path, 300, *range(100, 1000, 100))
    assert sorted(json.loads((tmp_path / "health.json").read_text())) == [
        "ckpt-200",
        "ckpt-700",
        "ckpt-800",
        "ckpt-900",
    ]
    made.optimizer.iterations.assign(900)
    assert checkpoints.restore(before=300) == 200
    assert first_weight(made) == 200
    assert int(made.optimizer.iterations) == 900
    # The newest one is what a restart goes on with.
    other = ranker(1)
    assert Checkpoints(tmp_path, other).resume(pytest.fail) == 900


def test_a_damaged_healthy_one_is_passed_over(tmp_path):
    made, checkpoints = unhealthy_from(tmp_path, 300, 100, 200, 300)
    os.truncate(tmp_path / "ckpt-200.data-00000-of-00001", 10)
    assert checkpoints.restore(before=300) == 100
    assert first_weight(made) == 100
    assert checkpoints.restore(before=50) is None


def test_nothing_there_is_the_beginning(tmp_path):
    assert Checkpoints(tmp_path, ranker(0)).resume(print) == 0


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_truncated_one_is_told_and_the_one_before_it_taken(tmp_path, size):
    saved_at(tmp_path, 10, 20)
    os.truncate(tmp_path / "ckpt-20.data-00000-of-00001", size)
    other, told = ranker(1), []
    checkpoints = Checkpoints(tmp_path, other)
    assert checkpoints.resume(told.append) == 10
    assert first_weight(other) == 10
    [line] = told
    assert "ckpt-20 cannot be read; trying the one before it" in line
    assert "\n" not in line
    # The damaged one does not stand in the way of a whole one at its place.
    checkpoints.save(20)
    assert Checkpoints(tmp_path, ranker(2)).resume(pytest.fail) == 20


def test_none_that_can_be_read_is_one_line(tmp_path):
    saved_at(tmp_path, 10)
    os.truncate(tmp_path / "ckpt-10.index", 5)
    with pytest.raises(UserError, match=r"none of the checkpoints in .* can be read; start a new run"):
        Checkpoints(tmp_path, ranker(1)).resume(lambda line: None)

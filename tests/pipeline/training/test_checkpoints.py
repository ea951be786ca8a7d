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


def make_ranker(seed: int) -> MultitaskRanker:
    tf_keras.utils.set_random_seed(seed)
    schema = Schema((Feature("x", "numerical", normalization="none"),), (Task("click", "binary"),))
    ranker = MultitaskRanker(schema, shared_units=(4,), tower_units=())
    ranker.compile(optimizer=ClippyAdagrad(0.1))
    ranker.optimizer.build(ranker.trainable_variables)
    return ranker


def first_weight(ranker: MultitaskRanker) -> float:
    return float(ranker.trainable_variables[0].numpy().ravel()[0])


def save_at(path: Path, *steps: int) -> None:
    """Saves a ranker at some steps; its first weights equal the step."""
    ranker = make_ranker(0)
    checkpoints = Checkpoints(path, ranker)
    for step in steps:
        ranker.trainable_variables[0].assign(ranker.trainable_variables[0] * 0 + step)
        checkpoints.save(step)


def test_the_newest_checkpoint_is_restored_with_its_step(tmp_path):
    save_at(tmp_path, 10, 20)
    other, lines = make_ranker(1), []
    assert Checkpoints(tmp_path, other).resume(lines.append) == 20
    assert first_weight(other) == 20
    assert not lines


@pytest.mark.parametrize("name", ["lr=[0.1,0.2]", "[!a]* back\\slash", "ünï ~"])
def test_the_folder_may_have_any_name(tmp_path, name):
    """TensorFlow would read brackets as a pattern, find no checkpoint and start from the beginning."""
    folder = tmp_path / name / "checkpoints"
    save_at(folder, 10, 20, 30, 40, 50)
    assert {path.name.split(".")[0] for path in folder.iterdir()} >= {"checkpoint", "health", "ckpt-50"}
    other, lines = make_ranker(1), []
    checkpoints = Checkpoints(folder, other)
    assert (checkpoints.resume(lines.append), first_weight(other), lines) == (50, 50, [])
    stamps = json.loads((folder / "health.json").read_text())
    stamps["ckpt-40"]["health"] = "healthy"
    (folder / "health.json").write_text(json.dumps(stamps))
    assert (checkpoints.restore(before=50), first_weight(other)) == (40, 40)
    for file in folder.glob("ckpt-50.data*"):
        file.write_bytes(b"")
    assert (Checkpoints(folder, other).resume(lines.append), first_weight(other)) == (40, 40)
    assert lines[0].startswith(f"Checkpoint {folder}/ckpt-50 cannot be read")


def test_each_remaining_checkpoint_has_a_health_stamp(tmp_path):
    ranker = make_ranker(0)
    checkpoints = Checkpoints(tmp_path, ranker)
    monitor = DivergenceMonitor()
    checkpoints.attach_monitor(monitor)
    for step in (10, 20, 30, 40):
        if step == 30:
            monitor.observe_metrics(30, {"loss": math.nan})
        if step == 40:
            monitor.observe_metrics(40, {"loss": 1.0})
        checkpoints.save(step)
    assert json.loads((tmp_path / "health.json").read_text()) == {
        # The oldest is kept as long as none is old enough to be safe.
        "ckpt-10": {"step": 10, "verdict": "healthy", "health": "healthy"},
        "ckpt-20": {"step": 20, "verdict": "healthy", "health": "healthy"},
        "ckpt-30": {"step": 30, "verdict": "micro", "health": "out_of_range"},
        "ckpt-40": {"step": 40, "verdict": "micro", "health": "healthy"},
    }
    assert sorted(file.stem for file in tmp_path.glob("*.index")) == ["ckpt-10", "ckpt-20", "ckpt-30", "ckpt-40"]


def save_unhealthy(path: Path, since: int, *steps: int) -> tuple[MultitaskRanker, Checkpoints]:
    """Saves a ranker at some steps; its first weights equal the step, and its loss is NaN from ``since`` on."""
    ranker = make_ranker(0)
    checkpoints, monitor = Checkpoints(path, ranker), DivergenceMonitor()
    checkpoints.attach_monitor(monitor)
    for step in steps:
        ranker.trainable_variables[0].assign(ranker.trainable_variables[0] * 0 + step)
        if step >= since:
            monitor.observe_metrics(step, {"loss": math.nan})
        checkpoints.save(step)
    return ranker, checkpoints


def test_a_rollback_restores_the_newest_healthy_checkpoint(tmp_path):
    ranker, checkpoints = save_unhealthy(tmp_path, 300, *range(100, 1000, 100))
    assert sorted(json.loads((tmp_path / "health.json").read_text())) == [
        "ckpt-200",
        "ckpt-700",
        "ckpt-800",
        "ckpt-900",
    ]
    ranker.optimizer.iterations.assign(900)
    assert checkpoints.restore(before=300) == 200
    assert first_weight(ranker) == 200
    assert int(ranker.optimizer.iterations) == 900
    # A restart continues from the newest checkpoint, healthy or not.
    other = make_ranker(1)
    assert Checkpoints(tmp_path, other).resume(pytest.fail) == 900


def test_a_rollback_skips_a_damaged_checkpoint(tmp_path):
    ranker, checkpoints = save_unhealthy(tmp_path, 300, 100, 200, 300)
    os.truncate(tmp_path / "ckpt-200.data-00000-of-00001", 10)
    assert checkpoints.restore(before=300) == 100
    assert first_weight(ranker) == 100
    assert checkpoints.restore(before=50) is None


def test_resuming_without_checkpoints_starts_at_step_0(tmp_path):
    assert Checkpoints(tmp_path, make_ranker(0)).resume(print) == 0


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_truncated_checkpoint_is_reported_and_the_one_before_it_restored(tmp_path, size):
    save_at(tmp_path, 10, 20)
    os.truncate(tmp_path / "ckpt-20.data-00000-of-00001", size)
    other, lines = make_ranker(1), []
    checkpoints = Checkpoints(tmp_path, other)
    assert checkpoints.resume(lines.append) == 10
    assert first_weight(other) == 10
    [line] = lines
    assert "ckpt-20 cannot be read; trying the one before it" in line
    assert "\n" not in line
    # A new checkpoint can replace the damaged one.
    checkpoints.save(20)
    assert Checkpoints(tmp_path, make_ranker(2)).resume(pytest.fail) == 20


def test_a_run_without_a_readable_checkpoint_is_an_error(tmp_path):
    save_at(tmp_path, 10)
    os.truncate(tmp_path / "ckpt-10.index", 5)
    with pytest.raises(UserError, match=r"none of the checkpoints in .* can be read; start a new run"):
        Checkpoints(tmp_path, make_ranker(1)).resume(lambda line: None)

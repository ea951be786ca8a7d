from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.training.publisher import drop_undefined
from tests.pipeline.training.small_runs import BATCH_SIZE, FaultyLog, MemoryLog, SmallRun, make_config


def test_publishes_every_three_steps_of_a_day_and_at_its_end(tmp_path):
    run = SmallRun(tmp_path)
    run.train()
    lines = run.publications.lines
    assert [(line["step"], line["day"]) for line in lines] == [
        (3, "day_0"),
        (6, "day_0"),
        (8, "day_0"),
        (11, "day_1"),
        (14, "day_1"),
        (16, "day_1"),
    ]
    assert [line["examples/click"] for line in lines] == [3 * BATCH_SIZE, 3 * BATCH_SIZE, 2 * BATCH_SIZE] * 2
    assert run.state.step == 16


def test_several_steps_per_execution_publish_where_a_multiple_is_passed(tmp_path):
    run = SmallRun(tmp_path, make_config(steps_per_execution=2, publish_every_steps=4, checkpoint_every_steps=4))
    run.train()
    assert [line["step"] for line in run.publications.lines] == [4, 8, 12, 16]


def test_a_publication_holds_the_mean_since_the_last_one(tmp_path):
    frequent, rare = SmallRun(tmp_path / "a", make_config(publish_every_steps=1)), SmallRun(tmp_path / "b")
    frequent.train()
    rare.train()
    single_steps = [line["loss"] for line in frequent.publications.lines]
    assert rare.publications.lines[0]["loss"] == pytest.approx(sum(single_steps[:3]) / 3, rel=1e-6)
    assert rare.publications.lines[2]["loss"] == pytest.approx(sum(single_steps[6:8]) / 2, rel=1e-6)


def test_the_monitor_sees_each_publication_and_the_progress_line_shows_it(tmp_path):
    run = SmallRun(tmp_path, source=MemoryLog(poison_day=1))
    run.train()
    assert run.monitor.verdict != "healthy"
    assert run.terminal.getvalue().startswith("step 3 of 24  loss ")


def test_training_seconds_count_up_with_each_publication(tmp_path):
    run = SmallRun(tmp_path)
    run.train()
    assert run.state.training_seconds > 0
    for line in run.publications.lines:
        assert line["examples_per_second"] > 0
        assert 0 <= line["input_wait_fraction"] <= 1


def test_skipped_rows_are_published_once(tmp_path):
    run = SmallRun(tmp_path, source=FaultyLog())
    run.state.published_skipped_rows = 1
    run.train()
    assert [line["skipped_examples"] for line in run.publications.lines] == [1, 2, 2, 2, 2, 2]


def test_a_log_without_faulty_rows_publishes_no_count_of_them(tmp_path):
    run = SmallRun(tmp_path)
    run.train()
    assert not any("skipped_examples" in line for line in run.publications.lines)


def test_undefined_metrics_are_dropped_and_a_loss_of_nan_is_not():
    metrics = {
        "loss": math.nan,
        "examples/a": 5.0,
        "loss/a": math.nan,
        "auc/a": math.nan,
        "examples/b": 0.0,
        "loss/b": math.nan,
        "rmse/b": math.nan,
    }
    defined = drop_undefined(metrics)
    assert list(defined) == ["loss", "examples/a", "loss/a"]
    assert math.isnan(defined["loss/a"])


def test_without_a_label_there_is_no_loss():
    unlabeled = {"loss": 0.0, "regularization_loss": 0.1, "examples/a": 0.0, "loss/a": math.nan, "auc/a": math.nan}
    assert drop_undefined(unlabeled) == {"regularization_loss": 0.1}
    assert math.isnan(drop_undefined(unlabeled | {"loss": math.nan})["loss"])
    assert drop_undefined({"loss": 0.5}) == {"loss": 0.5}

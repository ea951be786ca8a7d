from __future__ import annotations

import dataclasses

from steadyrank.pipeline.data.checks import Anomaly, CheckedDay
from steadyrank.pipeline.training.headline import format_anomalies, format_headline
from steadyrank.pipeline.training.schedule import TrainingSchedule
from tests.pipeline.training.small_runs import SmallRun


def make_day(name: str, count: int, skipped: bool = False) -> CheckedDay:
    anomalies = tuple(Anomaly("shifted", "x", f"the mean of x is {i}") for i in range(count))
    return CheckedDay(name, 8, 1, 0, {}, anomalies, skipped)


def test_the_headline_describes_log_ranker_and_start(tmp_path):
    run = SmallRun(tmp_path)
    schedule = TrainingSchedule(run.config, run.source)
    lines = [
        "Log: 3 days (1 held out), 1 feature, 1 task",
        "Days: trains on day_0 … day_1 (2 days, 128 rows); holds out day_2 (1 day, 64 rows)",
        "Ranker: 13 weights and 0 embedding weights; rule clippy, learning rate 0.1, 1 replica",
    ]
    assert format_headline(run.config, run.source, run.ranker, schedule, 0) == lines
    resumed = format_headline(run.config, run.source, run.ranker, schedule, 12)
    assert resumed == [*lines, "Resuming at step 12 of 16"]


def test_a_warm_up_that_does_not_end_is_reported(tmp_path):
    run = SmallRun(tmp_path)
    optimizer = dataclasses.replace(run.config.optimizer, warmup_steps=17)
    config = dataclasses.replace(run.config, optimizer=optimizer)
    line = format_headline(config, run.source, run.ranker, TrainingSchedule(config, run.source), 0)[-1]
    assert line.startswith("Warning: the warm-up of 17 steps is longer than the run of 16 steps")


def test_each_anomaly_gets_a_line_with_its_day():
    assert format_anomalies([make_day("monday", 1), make_day("tuesday", 1, skipped=True)]) == [
        "monday: the mean of x is 0",
        "Skipped tuesday: the mean of x is 0",
    ]


def test_at_most_ten_anomalies_are_shown():
    lines = format_anomalies([make_day("monday", 10)])
    assert len(lines) == 10
    lines = format_anomalies([make_day("monday", 12)])
    assert len(lines) == 11
    assert lines[-1] == "2 more anomalies of the log are listed in log.json"

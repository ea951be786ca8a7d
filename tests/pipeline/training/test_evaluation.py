from __future__ import annotations

import dataclasses

import pytest

from steadyrank.pipeline.training.evaluation import average_over_rows, evaluate_day
from tests.pipeline.training.small_runs import MemoryLog, SmallRun


def test_every_row_counts_once_even_if_the_last_batch_is_partial(tmp_path):
    run = SmallRun(tmp_path, source=MemoryLog((61,)))
    metrics = evaluate_day(run.config, run.source, run.ranker, 0)
    assert metrics["rows"] == metrics["examples/click"] == 61
    clicks = run.source.block(0, 0)["click"]
    assert metrics["label_mean/click"] == pytest.approx(clicks.mean(), rel=1e-6)


def test_the_number_of_evaluated_rows_can_be_limited(tmp_path):
    run = SmallRun(tmp_path)
    settings = dataclasses.replace(run.config.training, evaluation_rows=20)
    metrics = evaluate_day(dataclasses.replace(run.config, training=settings), run.source, run.ranker, 0)
    assert metrics["rows"] == metrics["examples/click"] == 20


def test_days_are_weighted_by_rows_and_missing_metrics_are_left_out():
    days = [{"rows": 10, "loss": 1.0}, {"rows": 30, "loss": 3.0, "auc/click": 0.75}]
    assert average_over_rows(days) == {"loss": 2.5, "auc/click": 0.75}


def test_the_average_of_no_days_is_empty():
    assert average_over_rows([]) == {}

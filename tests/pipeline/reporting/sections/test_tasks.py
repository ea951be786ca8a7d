from __future__ import annotations

import dataclasses

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.tasks import describe_judging_days, make_tasks_section
from tests.pipeline.reporting.page_parser import ParsedPage


def read_text(run: RunRecord) -> str:
    return ParsedPage(make_tasks_section(run)).text


def test_each_task_has_a_row_with_result_chance_ceiling_and_closed_gap(healthy):
    text = read_text(healthy)
    assert "click binary 0.7000 AUC 0.5000 0.7500 80%" in text
    assert "watch_time regression, weight 0.3 0.9000 RMSE 1.200 0.8000 75%" in text
    assert "Measured on the held-out day (tuesday, 1,000 rows)." in text


def test_held_out_days_are_weighted_by_rows(healthy):
    lines = [
        dict(healthy.evaluation[1]) | {"day": day, "rows": rows, "auc/click": auc}
        for day, rows, auc in (("a", 3000, 0.7), ("b", 1000, 0.62))
    ]
    text = read_text(dataclasses.replace(healthy, evaluation=lines))
    assert "0.6800" in text, "(3 * 0.70 + 0.62) / 4"
    assert "Measured on the held-out days (a and b, 4,000 rows). Averages over the days are weighted by rows." in text


def test_without_a_ceiling_its_columns_are_left_out(healthy):
    lines = [{k: v for k, v in line.items() if not k.startswith("ceiling")} for line in healthy.evaluation]
    text = read_text(dataclasses.replace(healthy, evaluation=lines))
    assert "eiling" not in text
    assert "0.7000" in text


def test_a_task_below_chance_closes_none_of_the_gap(healthy):
    lines = [dict(line) | {"auc/click": 0.4} for line in healthy.evaluation]
    assert "0.4000 AUC 0.5000 0.7500 none" in read_text(dataclasses.replace(healthy, evaluation=lines))


def test_a_run_without_tasks_or_evaluation_says_so(healthy):
    assert "The run recorded no task." in read_text(RunRecord("r"))
    assert "No day has been evaluated yet." in read_text(dataclasses.replace(healthy, evaluation=()))


def test_of_many_days_the_first_and_the_last_are_named():
    lines = [{"kind": "holdout", "day": f"d{index}"} for index in range(4)]
    assert describe_judging_days(lines) == "the held-out days (d0 to d3)"

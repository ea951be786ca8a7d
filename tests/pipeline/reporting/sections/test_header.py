from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from steadyrank.foundation.run_terms import RunStatus, Verdict
from steadyrank.pipeline.reporting import RunRecord, render
from steadyrank.pipeline.reporting.sections.header import STATUS_BADGES, VERDICT_BADGES, write_summary
from tests.pipeline.reporting.page_parser import ParsedPage


def test_the_summary_of_a_healthy_run(healthy):
    text, export = write_summary(healthy)
    assert text.startswith(
        "This run trained a ranker for 2 tasks (1 binary and 1 regression) for 320 steps (about 32,000 rows) in "
        "1 min 15 s. On the held-out day (tuesday, 1,000 rows), the ranker closes "
    )
    # Click closes 0.2 of 0.25, watch_time 0.3 of 0.4.
    assert "closes 75% (watch_time) to 80% (click) of the gap between chance and the ceiling" in text
    assert export == "SavedModel for serving: model/export/17"


def test_the_summary_of_a_diverged_run(diverged):
    text, export, message = write_summary(diverged)
    assert "the results for click and watch_time are not finite" in text
    assert "never published" in export
    assert "the loss stayed up" in message


def test_a_ranker_at_chance_is_said_to_be_no_better(healthy):
    line = dict(healthy.evaluation[-1]) | {"auc/click": 0.49}
    text = write_summary(dataclasses.replace(healthy, evaluation=[line]))[0]
    assert "no better than chance for click." in text


def test_without_held_out_days_the_summary_names_the_day_that_judges(healthy):
    text = write_summary(dataclasses.replace(healthy, evaluation=healthy.evaluation[:1]))[0]
    assert "On the last day evaluated before training on it (monday, 1,000 rows), the ranker" in text
    assert "held-out" not in text


@pytest.mark.parametrize("status", [*get_args(RunStatus), None, "new"])
def test_every_status_says_why_nothing_was_exported(status):
    text, export = write_summary(RunRecord("r", status={"status": status, "step": 3}))
    assert "for 3 steps" in text
    assert export.startswith("Nothing ")


def test_every_status_and_every_verdict_has_a_badge_of_its_own():
    assert STATUS_BADGES.keys() == set(get_args(RunStatus))
    assert VERDICT_BADGES.keys() == set(get_args(Verdict))
    texts = [text for _, text in (*STATUS_BADGES.values(), *VERDICT_BADGES.values())]
    assert len(set(texts)) == len(texts)


def test_an_unknown_verdict_is_shown_as_recorded():
    text = ParsedPage(render(RunRecord("r", divergence={"verdict": "odd"}))).text
    assert "Verdict: odd" in text
    assert "No verdict yet" in ParsedPage(render(RunRecord("r"))).text


def test_the_narrative_comes_before_the_summary(diverged):
    text = ParsedPage(render(diverged)).text
    assert text.index("At step 96") < text.index("This run trained") < text.index("Nothing was exported")


def test_skipped_days_and_a_bottleneck_are_named_at_the_top(checked):
    run = dataclasses.replace(checked, status=checked.status | {"input_wait_fraction": 0.4})
    text = ParsedPage(render(run)).text
    assert text.index("1 day of the log was skipped") < text.index("Tasks on the held-out days")
    assert text.index("Input is a bottleneck") < text.index("Tasks on the held-out days")
    assert text.count("Input is a bottleneck: training waited for it 40% of the time") == 2, "again beside the speed"

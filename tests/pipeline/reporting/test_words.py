from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.words import (
    count,
    decimal,
    duration,
    fine_percent,
    listed,
    percent,
    state,
    summary,
    verdict,
)


def test_summary_of_a_healthy_run(healthy):
    text, where = summary(healthy)
    assert "A ranker for 2 tasks (1 binary and 1 regression) was trained for 320 steps, about 32,000 rows" in text
    assert "1 min 15 s" in text
    # Click: 0.2 of 0.25; watch_time: 0.3 of 0.4.
    assert "75 % (watch_time) to 80 % (click) of the way from chance to the ceiling" in text
    assert where == "The SavedModel for serving: model/export/17"


def test_summary_of_a_diverged_run(diverged):
    text, where, message = summary(diverged)
    assert "gives no finite result for click and watch_time" in text
    assert "never published" in where
    assert "the loss stayed up" in message


def test_a_ranker_at_chance_is_called_so(healthy):
    line = dict(healthy.evaluation[-1]) | {"auc/click": 0.49}
    text = summary(dataclasses.replace(healthy, evaluation=[line]))[0]
    assert "no better than chance in click." in text


def test_without_held_out_days_the_text_says_which_day_judges(healthy):
    text = summary(dataclasses.replace(healthy, evaluation=healthy.evaluation[:1]))[0]
    assert "the last day evaluated before training on it, monday (1,000 rows)," in text
    assert "held-out" not in text


@pytest.mark.parametrize("status", ["done", "running", "diverged", "preempted", "failed", None, "new"])
def test_every_status_says_why_nothing_was_exported(status):
    run = RunRecord("r", status={"status": status, "step": 3})
    assert state(run)[1]
    text, where = summary(run)
    assert "trained for 3 steps" in text
    assert where.startswith("Nothing ")


def test_every_verdict_has_words_of_its_own():
    texts = [
        verdict(RunRecord("r", divergence=d))[1] for d in ({}, *({"verdict": v} for v in ("healthy", "micro", "full")))
    ]
    assert len(set(texts)) == 4
    assert verdict(RunRecord("r", divergence={"verdict": "odd"})) == ("calm", "Verdict: odd")


def test_numbers_as_a_reader_writes_them():
    assert [count(65536), count(None), count(math.nan)] == ["65,536", "\N{EN DASH}", "not finite"]
    assert [decimal(0.73125, 4), decimal(0.583), decimal(8e12), decimal(None)] == [
        "0.7312",
        "0.5830",
        "8e12",
        "\N{EN DASH}",
    ]
    assert decimal(math.nan) == "not finite (nan)"
    assert [duration(42), duration(200), duration(7500)] == ["42 s", "3 min 20 s", "2 h 05 min"]
    assert [percent(0.934), percent(-1e9)] == ["93 %", "off the scale"]
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_small_shares_have_the_decimals_that_they_need():
    found = [
        fine_percent(share) for share in (0.0, 1e-9, 0.0002, 0.0009, 0.001, 0.0081, 0.05, 0.0994, 0.0996, 0.341, 1.0)
    ]
    assert found == [
        "0 %",
        "less than 0.01 %",
        "0.02 %",
        "0.09 %",
        "0.1 %",
        "0.8 %",
        "5.0 %",
        "9.9 %",
        "10 %",
        "34 %",
        "100 %",
    ]

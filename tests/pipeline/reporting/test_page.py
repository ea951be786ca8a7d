from __future__ import annotations

import dataclasses
import math
import re

import pytest

from steadyrank.pipeline.reporting import RunRecord, render
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import HOSTILE_TEXT


@pytest.fixture(params=["healthy", "diverged", "empty"])
def run(request) -> RunRecord:
    return RunRecord("an empty run") if request.param == "empty" else request.getfixturevalue(request.param)


def test_a_page_is_complete_and_loads_nothing(run):
    text = render(run)
    page = ParsedPage(text)
    assert text.startswith("<!doctype html>")
    assert {"html", "head", "title", "main", "h1"} <= set(page.tags)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_ids_are_unique_and_every_reference_exists(run):
    page = ParsedPage(render(run))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_equal_records_give_equal_pages(run):
    assert render(run) == render(dataclasses.replace(run))


def test_the_page_of_a_healthy_run(healthy):
    text = ParsedPage(render(healthy)).text
    for expected in ("Healthy: no divergence", "Finished", "click", "watch_time", "0.7000", "0.7500", "80%", "75%"):
        assert expected in text
    for setting in ("data.batch_size", "optimizer.exclude_from_clipping", "embeddings", "model/export/17", "python 3"):
        assert setting in text
    assert "not finite" not in text


def test_the_page_of_a_diverged_run_shows_events_and_nonfinite_values(diverged):
    text = ParsedPage(render(diverged)).text
    for expected in ("Full divergence", "rose 40-fold", "loss: 8e+12, usual: 0.6", "whole run", "not finite (nan)"):
        assert expected in text
    assert "not finite: 3 of 10" in text, "three losses of nine lines and one evaluation"


def test_metrics_that_were_not_recorded_have_no_section(healthy):
    lines = [{"step": line["step"], "loss": line["loss"]} for line in healthy.train]
    text = ParsedPage(render(dataclasses.replace(healthy, train=lines))).text
    for absent in ("Clipping by layer", "Dead units", "Sharpness", "Around step", "peak of a single step"):
        assert absent not in text


def test_an_empty_record_gives_a_page():
    text = ParsedPage(render(RunRecord("an empty run"))).text
    for expected in ("an empty run", "No verdict yet", "Status unknown", "recorded no step", "recorded no loss"):
        assert expected in text


def test_a_run_that_failed_at_once_shows_its_tasks_and_its_message(healthy):
    failed = RunRecord("r", status={"status": "failed", "step": 0, "message": "no column 'click'"}, tasks=healthy.tasks)
    text = ParsedPage(render(failed)).text
    for expected in ("Failed", "no column 'click'", "watch_time", "No day has been evaluated"):
        assert expected in text


def test_names_and_texts_of_the_run_are_escaped(healthy):
    line = {
        "step": 32,
        "loss": 1.0,
        f"loss/{HOSTILE_TEXT}": 1.0,
        f"auc/{HOSTILE_TEXT}": 0.6,
        f"clipping_factor/{HOSTILE_TEXT}": 0.5,
    }
    line |= {f"dead_units/shared{HOSTILE_TEXT}": 0.9, f"norm/gradient/{HOSTILE_TEXT}": 1.0}
    left = {"step": 64, "kind": "out_of_range", "task": HOSTILE_TEXT, "evidence": HOSTILE_TEXT, "layer": HOSTILE_TEXT}
    run = RunRecord(
        title=HOSTILE_TEXT,
        config={HOSTILE_TEXT: {HOSTILE_TEXT: [HOSTILE_TEXT]}, "optimizer": {"rule": HOSTILE_TEXT}},
        status={
            "status": HOSTILE_TEXT,
            "export": HOSTILE_TEXT,
            "message": HOSTILE_TEXT,
            "versions": {HOSTILE_TEXT: HOSTILE_TEXT},
            "time": HOSTILE_TEXT,
        },
        divergence={
            "verdict": HOSTILE_TEXT,
            "events": [
                {"step": 32, "kind": HOSTILE_TEXT, "task": HOSTILE_TEXT, "evidence": {HOSTILE_TEXT: HOSTILE_TEXT}},
                left,
            ],
        },
        train=[line, line | {"step": 64, f"norm/gradient/{HOSTILE_TEXT}": 9.0}],
        evaluation=[{"step": 32, "day": HOSTILE_TEXT, "kind": "holdout", "rows": 1, f"auc/{HOSTILE_TEXT}": 0.6}],
        tasks=[{"name": HOSTILE_TEXT, "kind": "binary", "weight": HOSTILE_TEXT}, {"name": "x", "kind": HOSTILE_TEXT}],
    )
    text = render(run)
    assert "script" not in ParsedPage(text).tags
    assert "<script" not in text
    assert HOSTILE_TEXT in ParsedPage(text).text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.8e308, -1.8e308, 0.0, None, "text"])
def test_no_value_makes_the_page_fail(healthy, value):
    def spoil(line):
        return dict.fromkeys(line, value) | {"step": line["step"], "kind": line.get("kind")}

    run = dataclasses.replace(
        healthy,
        train=[spoil(line) for line in healthy.train],
        evaluation=[spoil(line) for line in healthy.evaluation],
        status={"status": "done", "step": value, "seconds": value},
        divergence={"verdict": "micro", "events": [{"step": value}]},
        config={"data": {"batch_size": value}},
    )
    text = ParsedPage(render(run)).text
    assert "click" in text
    if isinstance(value, float) and not math.isfinite(value):
        assert f"not finite: {len(run.train) + 2} of {len(run.train) + 2}" in text


def test_the_page_of_a_long_run_stays_small_and_keeps_its_spike(healthy):
    line = healthy.train[0]
    train = [dict(line) | {"step": 32 * index, "loss": 0.5 + (index % 7) / 100} for index in range(1, 5001)]
    train[3210]["loss"] = 0.9
    text = render(dataclasses.replace(healthy, train=train))
    assert len(text.encode()) < 500_000
    (wide,) = re.findall(r'<figure class="wide">(<svg[^>]*aria-label="All tasks.*?</svg>)', text)
    tops = [
        float(y)
        for path in re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', wide)
        for y in re.findall(r"[ML] \S+ (\S+)", path)
    ]
    assert sorted(tops)[1] - min(tops) > 100

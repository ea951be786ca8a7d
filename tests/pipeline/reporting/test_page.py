from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import pytest

from steadyrank.pipeline.reporting import RunRecord, render

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, and holds whether its tags are balanced, its text, its ids and what it refers to."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self._note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._note(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def _note(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.links.append(value)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(params=["healthy", "diverged", "empty"])
def run(request) -> RunRecord:
    return RunRecord("an empty run") if request.param == "empty" else request.getfixturevalue(request.param)


def test_a_page_is_whole_and_loads_nothing(run):
    text = render(run)
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert {"html", "head", "title", "main", "h1"} <= set(page.tags)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_ids_stand_once_and_every_reference_is_met(run):
    page = Page(render(run))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_equal_records_give_equal_pages(run):
    assert render(run) == render(dataclasses.replace(run))


def test_a_healthy_page_says_what_matters(healthy):
    text = Page(render(healthy)).text
    for expected in ("Healthy: no divergence", "Finished", "click", "watch_time", "0.7000", "0.7500", "80 %", "75 %"):
        assert expected in text
    for setting in ("data.batch_size", "optimizer.exclude_from_clipping", "embeddings", "model/export/17", "python 3"):
        assert setting in text
    assert "not finite" not in text


def test_a_diverged_page_shows_events_and_what_is_not_finite(diverged):
    text = Page(render(diverged)).text
    for expected in ("Full divergence", "rose 40-fold", "loss: 8e+12, usual: 0.6", "whole run", "not finite (nan)"):
        assert expected in text
    assert "not finite: 3 of 10" in text, "three losses of nine lines and one evaluation"


def test_events_are_marked_in_the_curves_of_their_task_alone(diverged):
    text = render(diverged)
    solid, dashed = "stroke: #c7400a; stroke-width: 1.1", "stroke: #d98200"

    def figure(title):
        (found,) = [part for part in re.findall(r"<svg.*?</svg>", text) if f'aria-label="{title}: loss over' in part]
        return found

    assert dashed in figure("click")
    assert dashed not in figure("watch_time")
    assert all(re.search(solid.replace(" ", " ?"), figure(title)) for title in ("click", "watch_time"))


def test_an_empty_run_says_so():
    text = Page(render(RunRecord("an empty run"))).text
    for expected in ("an empty run", "Not judged yet", "Status unknown", "recorded no step", "recorded no loss"):
        assert expected in text


def test_a_run_that_died_at_once_names_its_tasks_and_its_message(healthy):
    died = RunRecord("r", status={"status": "failed", "step": 0, "message": "no column 'click'"}, tasks=healthy.tasks)
    text = Page(render(died)).text
    for expected in ("Failed", "no column 'click'", "watch_time", "No day has been evaluated"):
        assert expected in text


def test_held_out_days_are_weighted_by_rows(healthy):
    lines = [
        dict(healthy.evaluation[1]) | {"day": day, "rows": rows, "auc/click": auc}
        for day, rows, auc in (("a", 3000, 0.7), ("b", 1000, 0.62))
    ]
    text = Page(render(dataclasses.replace(healthy, evaluation=lines))).text
    assert "0.6800" in text, "(3 * 0.70 + 0.62) / 4"
    assert "the held-out days a and b (4,000 rows)" in text


def test_without_a_ceiling_its_columns_are_left_out(healthy):
    lines = [{k: v for k, v in line.items() if not k.startswith("ceiling")} for line in healthy.evaluation]
    text = Page(render(dataclasses.replace(healthy, evaluation=lines))).text
    assert "eiling" not in text
    assert "0.7000" in text


EVIL = "<script>alert('&\"')</script>"


def test_whatever_the_run_holds_is_text(healthy):
    line = {"step": 32, "loss": 1.0, f"loss/{EVIL}": 1.0, f"auc/{EVIL}": 0.6, f"clipping_factor/{EVIL}": 0.5}
    run = RunRecord(
        title=EVIL,
        config={EVIL: {EVIL: [EVIL]}},
        status={"status": EVIL, "export": EVIL, "message": EVIL, "versions": {EVIL: EVIL}, "time": EVIL},
        divergence={"verdict": EVIL, "events": [{"step": 32, "kind": EVIL, "task": EVIL, "evidence": {EVIL: EVIL}}]},
        train=[line],
        evaluation=[{"step": 32, "day": EVIL, "kind": "holdout", "rows": 1, f"auc/{EVIL}": 0.6}],
        tasks=[{"name": EVIL, "kind": "binary", "weight": EVIL}, {"name": "x", "kind": EVIL}],
    )
    text = render(run)
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert EVIL in Page(text).text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.8e308, -1.8e308, 0.0, None, "text"])
def test_no_value_makes_a_page_fail(healthy, value):
    def spoiled(line):
        return dict.fromkeys(line, value) | {"step": line["step"], "kind": line.get("kind")}

    run = dataclasses.replace(
        healthy,
        train=[spoiled(line) for line in healthy.train],
        evaluation=[spoiled(line) for line in healthy.evaluation],
        status={"status": "done", "step": value, "seconds": value},
        divergence={"verdict": "micro", "events": [{"step": value}]},
        config={"data": {"batch_size": value}},
    )
    text = Page(render(run)).text
    assert "click" in text
    if isinstance(value, float) and not math.isfinite(value):
        assert f"not finite: {len(run.train) + 2} of {len(run.train) + 2}" in text


def test_a_long_run_stays_small_and_keeps_its_spike(healthy):
    line = healthy.train[0]
    train = [dict(line) | {"step": 32 * place, "loss": 0.5 + (place % 7) / 100} for place in range(1, 5001)]
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

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import pytest

from steadyrank.pipeline.reporting import RunRecord, render
from steadyrank.pipeline.reporting.figures import MARKS

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


def figure(text: str, title: str, of: str = "loss") -> str:
    """The figure of a task, by what it is labelled for a screen reader."""
    (found,) = [part for part in re.findall(r"<svg.*?</svg>", text) if f'aria-label="{title}: {of} over' in part]
    return found


def lines_of(svg: str, severity: str) -> int:
    """How many vertical marks of a severity a figure holds."""
    return len(re.findall(f'<path d="[^"]*"[^>]*stroke: ?{MARKS[severity]["color"]}', svg))


def test_events_are_marked_in_the_curves_of_their_task_alone(diverged):
    text = render(diverged)
    click, watch_time = figure(text, "click"), figure(text, "watch_time")
    assert (lines_of(click, "range"), lines_of(click, "full")) == (1, 1)
    assert (lines_of(watch_time, "range"), lines_of(watch_time, "full")) == (0, 1)


def test_an_incident_of_many_tasks_is_marked_once_in_the_total_and_once_for_each_task(healthy):
    tasks = ("click", "watch_time")
    events = [
        *({"step": 100 + place, "kind": "out_of_range", "task": task} for place, task in enumerate(tasks)),
        *({"step": 130, "kind": "full_divergence", "task": task} for task in tasks),
        {"step": 130, "kind": "rollback", "task": ""},
        {"step": 250, "kind": "spike", "task": "click", "evidence": "the loss is 9, usually 1 give or take 0.1"},
    ]
    text = render(dataclasses.replace(healthy, divergence={"verdict": "micro", "events": events}))
    total = re.findall(r'<figure class="wide">(<svg[^>]*aria-label="All tasks.*?</svg>)', text)[0]
    for svg in (total, figure(text, "click"), figure(text, "watch_time"), figure(text, "click", "AUC")):
        assert [lines_of(svg, severity) for severity in ("range", "full", "rollback")] == [1, 1, 1]
    assert lines_of(figure(text, "click"), "spike") == lines_of(figure(text, "watch_time"), "spike") + 1
    page = Page(text)
    for expected in (
        "spike of single steps",
        "out of range",
        "full divergence",
        "rollback",
        "100\N{EN DASH}130",
        "All 6 events",
    ):
        assert expected in page.text
    assert page.text.count("Full divergence") == 2, "one row, in its title and its words"


def test_the_story_stands_before_everything_else(diverged):
    text = Page(render(diverged)).text
    assert text.index("At step 96") < text.index("A ranker for") < text.index("Nothing was exported")


def test_what_has_no_keys_has_no_section(healthy):
    lines = [{"step": line["step"], "loss": line["loss"]} for line in healthy.train]
    text = Page(render(dataclasses.replace(healthy, train=lines))).text
    for absent in ("Clipping by layer", "Dead units", "Sharpness", "Around step", "far above the mean"):
        assert absent not in text


def test_dead_units_are_drawn_of_layers_where_many_are_dead(healthy):
    lines = [
        dict(line) | {"dead_units/bottom": 0.21, "dead_units/tower": 0.2, "dead_units/lost": math.nan}
        for line in healthy.train
    ]
    text = render(dataclasses.replace(healthy, train=lines))
    assert figure(text, "bottom", "% of the units")
    assert 'aria-label="tower: ' not in text
    assert 'aria-label="lost: ' not in text


def test_sharpness_is_drawn_against_what_the_rate_can_bear(healthy):
    lines = [dict(line) | {"sharpness": 20.0, "learning_rate": 0.1} for line in healthy.train]
    text = render(dataclasses.replace(healthy, train=lines))
    svg = figure(text, "Sharpness", "largest eigenvalue")
    (bound,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    (line,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', svg)
    assert set(re.findall(r"[ML] \S+ (\S+)", bound)) == set(re.findall(r"[ML] \S+ (\S+)", line)), "both are 20"
    assert "Preconditioned" not in re.findall(r'aria-label="([^:"]*):', text)
    lines = [line | {"sharpness_preconditioned": 3.0, "learning_rate": 0.0} for line in lines]
    both = render(dataclasses.replace(healthy, train=lines))
    assert figure(both, "Preconditioned sharpness", "largest eigenvalue")


def test_a_single_step_far_above_the_mean_is_drawn_where_it_happened(healthy):
    lines = [dict(line) | {"loss_max": 0.9, "loss_max/click": 0.4} for line in healthy.train]
    assert "far above the mean" not in Page(render(dataclasses.replace(healthy, train=lines))).text
    lines[4] |= {"loss_max/click": 5.0, "loss_max_step/click": 133}
    text = render(dataclasses.replace(healthy, train=lines))
    assert "far above the mean" in Page(text).text


def test_one_publication_alone_gives_a_page(healthy):
    events = [{"step": 20, "kind": "out_of_range", "task": "click", "evidence": "the loss is 9"}]
    run = dataclasses.replace(
        healthy, train=healthy.train[:1], evaluation=(), divergence={"verdict": "micro", "events": events}
    )
    text = Page(render(run)).text
    assert "Around step 20" in text
    assert "steps 1\N{EN DASH}32" in text


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
    line |= {f"dead_units/shared{EVIL}": 0.9, f"norm/gradient/{EVIL}": 1.0}
    left = {"step": 64, "kind": "out_of_range", "task": EVIL, "evidence": EVIL, "layer": EVIL}
    run = RunRecord(
        title=EVIL,
        config={EVIL: {EVIL: [EVIL]}, "optimizer": {"rule": EVIL}},
        status={"status": EVIL, "export": EVIL, "message": EVIL, "versions": {EVIL: EVIL}, "time": EVIL},
        divergence={
            "verdict": EVIL,
            "events": [{"step": 32, "kind": EVIL, "task": EVIL, "evidence": {EVIL: EVIL}}, left],
        },
        train=[line, line | {"step": 64, f"norm/gradient/{EVIL}": 9.0}],
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

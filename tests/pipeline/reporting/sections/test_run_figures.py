from __future__ import annotations

import dataclasses
import re

from steadyrank.pipeline.reporting import RunRecord, render
from steadyrank.pipeline.reporting.figures.palette import MARK_STYLES
from steadyrank.pipeline.reporting.sections.run_figures import RunFigures
from tests.pipeline.reporting.page_parser import ParsedPage, find_figure
from tests.pipeline.reporting.records import make_event


def count_marks(svg: str, severity: str) -> int:
    """The number of vertical marks of a severity in a figure."""
    return len(re.findall(f'<path d="[^"]*"[^>]*stroke: ?{MARK_STYLES[severity].color}', svg))


def test_an_event_is_marked_only_in_the_curves_of_its_task(diverged):
    page = render(diverged)
    click, watch_time = find_figure(page, "click"), find_figure(page, "watch_time")
    assert (count_marks(click, "range"), count_marks(click, "full")) == (1, 1)
    assert (count_marks(watch_time, "range"), count_marks(watch_time, "full")) == (0, 1)


def test_an_incident_of_many_tasks_is_marked_once_in_the_total_and_once_for_each_task(healthy):
    tasks = ("click", "watch_time")
    events = [
        *(make_event(100 + index, "out_of_range", task) for index, task in enumerate(tasks)),
        *(make_event(130, "full_divergence", task) for task in tasks),
        make_event(130, "rollback"),
        make_event(250, "spike", "click", values={"loss": 9.0, "usual": 1.0}),
    ]
    page = render(dataclasses.replace(healthy, divergence={"verdict": "micro", "events": events}))
    total = re.findall(r'<figure class="wide">(<svg[^>]*aria-label="All tasks.*?</svg>)', page)[0]
    for svg in (total, find_figure(page, "click"), find_figure(page, "watch_time"), find_figure(page, "click", "AUC")):
        assert [count_marks(svg, severity) for severity in ("range", "full", "rollback")] == [1, 1, 1]
    assert count_marks(find_figure(page, "click"), "spike") == count_marks(find_figure(page, "watch_time"), "spike") + 1
    text = ParsedPage(page).text
    for meaning in ("spike", "out of range", "full divergence", "rollback"):
        assert f" {meaning} " in text


def test_every_rollback_of_an_incident_is_marked():
    events = [make_event(step, "rollback") for step in (100, 110)]
    figures = RunFigures(RunRecord("r", divergence={"events": events}))
    assert [mark.step for mark in figures.make_marks()] == [100, 110]


def test_the_axis_reaches_the_last_event_even_if_no_metric_does():
    run = RunRecord("r", status={"step": 50}, divergence={"events": [make_event(70, "spike")]})
    assert RunFigures(run).extent == 70
    assert RunFigures(RunRecord("r")).extent == 1


def test_a_peak_of_a_single_step_is_drawn_if_it_is_far_above_the_mean(healthy):
    lines = [dict(line) | {"loss_max": 0.9, "loss_max/click": 0.4} for line in healthy.train]
    assert "peak of a single step" not in render(dataclasses.replace(healthy, train=lines))
    lines[4] |= {"loss_max/click": 5.0, "loss_max_step/click": 133}
    assert "peak of a single step" in render(dataclasses.replace(healthy, train=lines))

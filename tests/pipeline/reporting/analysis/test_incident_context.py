from __future__ import annotations

import math
from typing import Any

import pytest

from steadyrank.pipeline.reporting.analysis.incident_context import (
    ContextCell,
    IncidentContext,
    find_incident_context,
)
from steadyrank.pipeline.reporting.analysis.incidents import Incident, RunEvent


def make_line(step: int, loss: float, gradient: float) -> dict[str, Any]:
    return {
        "step": step,
        "loss/click": loss,
        "loss/like": 0.1,
        "loss_max/click": 2 * loss,
        "loss_max_step/click": step - 1,
        "norm/gradient": 7.0,
        "norm/gradient/quiet": 5.0,
        "norm/gradient/shared/layer_0": gradient,
        "norm/update/quiet": 0.5,
        "norm/update/shared/layer_0": 10 * gradient,
        "dead_units/shared/layer_0": 0.25,
        "dead_units/tower/layer_0": 0.5,
    }


LINES = [
    make_line(224, 0.4, 1.0),
    make_line(256, 0.5, 1.0),
    make_line(288, 100.0, 1e6),
    make_line(320, 0.6, 2.0),
    make_line(352, 0.6, 2.0),
]


def make_incident(step: float, task: str = "click") -> Incident:
    return Incident((RunEvent(step, "out_of_range", task),), step)


def index_rows(context: IncidentContext | None) -> dict[tuple[str, str], tuple[ContextCell, ...]]:
    assert context is not None
    return {(row.name, row.subject): row.cells for row in context.rows}


@pytest.mark.parametrize("step", [257, 288])
def test_the_context_holds_the_publications_before_at_and_after_the_step(step):
    context = find_incident_context(LINES, make_incident(step), ["like", "click"])
    assert context.spans == ((225, 256), (257, 288), (289, 320))
    rows = index_rows(context)
    assert rows["Loss", "click"] == (
        ContextCell(0.5, 1.0, 255.0),
        ContextCell(100.0, 200.0, 287.0),
        ContextCell(0.6, 1.2, 319.0),
    )
    assert next(iter(rows)) == ("Loss", "click"), "the task that diverged comes first"
    assert [cell.value for cell in rows["Largest gradient norm", "shared/layer_0"]] == [1.0, 1e6, 2.0]
    assert [cell.value for cell in rows["Largest update norm", "shared/layer_0"]] == [10.0, 1e7, 20.0]
    assert ("Dead units", "shared/layer_0") in rows
    assert ("Dead units", "tower/layer_0") not in rows
    assert not any(name == "Smallest clipping factor" for name, _ in rows), "no rule clips"


def test_the_smallest_factor_names_its_layer_and_a_nonfinite_factor_is_the_worst():
    lines = [
        line | {"clipping_factor/a": 0.5, "clipping_factor/b": factor, "clipping_factor_last/a": 0.001}
        for line, factor in zip(LINES, (1.0, 0.9, 0.02, math.nan, 1.0), strict=True)
    ]
    rows = index_rows(find_incident_context(lines, make_incident(257), ["click"]))
    before, at, after = rows["Smallest clipping factor", "all layers"]
    assert (before, at) == (ContextCell(0.5, layer="a"), ContextCell(0.02, layer="b"))
    assert math.isnan(after.value)
    assert after.layer == "b"


def test_a_nonfinite_gradient_grew_most():
    lines = [LINES[0], LINES[1] | {"norm/gradient/quiet": math.inf}]
    assert ("Largest gradient norm", "quiet") in index_rows(find_incident_context(lines, make_incident(250), ["click"]))


def test_if_no_gradient_grew_the_gradient_of_the_whole_model_is_shown():
    zeroed = LINES[2] | {"norm/gradient/quiet": 0.0, "norm/gradient/shared/layer_0": 0.0, "norm/gradient": 1e7}
    rows = index_rows(find_incident_context([*LINES[:2], zeroed], make_incident(257), ["click"]))
    assert [cell.value for cell in rows["Largest gradient norm", "whole model"]] == [7.0, 1e7, None]


def test_publications_beyond_the_ends_of_the_run_are_unknown():
    context = find_incident_context(LINES[:1], make_incident(3), ["click"])
    assert context.spans == (None, (1, 224), None)
    assert index_rows(context)["Loss", "click"][0] == ContextCell(None)
    assert find_incident_context(LINES, make_incident(353), ["click"]) is None
    assert find_incident_context([], make_incident(1), ["click"]) is None
    assert find_incident_context([{"step": 10}, {"step": math.nan}], make_incident(1), ["click"]) is None


def test_without_tasks_the_loss_of_the_model_is_shown():
    context = find_incident_context([{"step": 10, "loss": 2.0}], make_incident(1, task=""), [])
    assert index_rows(context)["Loss", ""][1] == ContextCell(2.0)

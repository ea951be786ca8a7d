from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting.around import Cell, around
from steadyrank.pipeline.reporting.incidents import Happening, Incident


def line(step: int, loss: float, gradient: float, **more) -> dict:
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
        **more,
    }


LINES = [line(224, 0.4, 1.0), line(256, 0.5, 1.0), line(288, 100.0, 1e6), line(320, 0.6, 2.0), line(352, 0.6, 2.0)]


def at(step: float, task: str = "click") -> Incident:
    return Incident((Happening(step, "out_of_range", task),), step)


def rows(found) -> dict:
    return {(row.name, row.subject): row.cells for row in found.rows}


@pytest.mark.parametrize("step", [257, 288])
def test_the_publications_before_at_and_after(step):
    found = around(LINES, at(step), ["like", "click"])
    assert found.spans == ((225, 256), (257, 288), (289, 320))
    cells = rows(found)
    assert cells["Loss", "click"] == (
        Cell(0.5, "up to 1 at step 255"),
        Cell(100.0, "up to 200 at step 287"),
        Cell(0.6, "up to 1.2 at step 319"),
    )
    assert next(iter(cells)) == ("Loss", "click"), "whom it befell comes first"
    assert [cell.value for cell in cells["Largest gradient norm", "shared/layer_0"]] == [1.0, 1e6, 2.0]
    assert [cell.value for cell in cells["Largest step norm", "shared/layer_0"]] == [10.0, 1e7, 20.0]
    assert ("Dead units", "shared/layer_0") in cells
    assert ("Dead units", "tower/layer_0") not in cells
    assert not any(name == "Smallest clipping factor" for name, _ in cells), "no rule clips"


def test_the_smallest_factor_names_its_layer_and_one_that_is_not_finite_is_the_worst():
    lines = [
        one | {"clipping_factor/a": 0.5, "clipping_factor/b": factor, "clipping_factor_last/a": 0.001}
        for one, factor in zip(LINES, (1.0, 0.9, 0.02, math.nan, 1.0), strict=True)
    ]
    before, now, after = rows(around(lines, at(257), ["click"]))["Smallest clipping factor", "of all layers"]
    assert (before, now) == (Cell(0.5, "a"), Cell(0.02, "b"))
    assert math.isnan(after.value)
    assert after.remark == "b"


def test_a_gradient_that_is_not_finite_grew_most():
    lines = [LINES[0], LINES[1] | {"norm/gradient/quiet": math.inf}]
    assert ("Largest gradient norm", "quiet") in rows(around(lines, at(250), ["click"]))


def test_where_no_gradient_grew_that_of_the_whole_model_is_told():
    zeroed = LINES[2] | {"norm/gradient/quiet": 0.0, "norm/gradient/shared/layer_0": 0.0, "norm/gradient": 1e7}
    cells = rows(around([*LINES[:2], zeroed], at(257), ["click"]))
    assert [cell.value for cell in cells["Largest gradient norm", "of the whole model"]] == [7.0, 1e7, None]


def test_at_the_ends_of_a_run_there_is_nothing():
    first = around(LINES[:1], at(3), ["click"])
    assert first.spans == (None, (1, 224), None)
    assert rows(first)["Loss", "click"][0] == Cell(None)
    assert around(LINES, at(353), ["click"]) is None
    assert around([], at(1), ["click"]) is None
    assert around([{"step": 10}, {"step": math.nan}], at(1), ["click"]) is None


def test_without_tasks_the_loss_of_the_model_is_told():
    found = around([{"step": 10, "loss": 2.0}], at(1, task=""), [])
    assert rows(found)["Loss", ""][1] == Cell(2.0)

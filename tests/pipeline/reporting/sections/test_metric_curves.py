from __future__ import annotations

import dataclasses
import re

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.metric_curves import (
    make_auc_section,
    make_loss_section,
    make_rmse_section,
)
from steadyrank.pipeline.reporting.sections.run_figures import RunFigures
from tests.pipeline.reporting.page_parser import ParsedPage, find_figure


def read_labels(html: str) -> set[str]:
    return set(re.findall(r'aria-label="([^:"]*):', html))


def test_each_measure_is_drawn_for_its_kind_of_task(healthy):
    figures = RunFigures(healthy)
    assert read_labels(make_loss_section(healthy, figures)) == {"All tasks", "click", "watch_time"}
    assert read_labels(make_auc_section(healthy, figures)) == {"click"}
    assert read_labels(make_rmse_section(healthy, figures)) == {"watch_time"}


def test_measures_have_the_ceiling_and_chance_as_references(healthy):
    for make_section, title, unit in (
        (make_auc_section, "click", "AUC"),
        (make_rmse_section, "watch_time", "RMSE"),
    ):
        html = make_section(healthy, RunFigures(healthy))
        assert len(re.findall("stroke-dasharray", find_figure(html, title, unit))) == 2
        assert "ceiling (best possible ranker) chance" in re.sub(r"\s+", " ", ParsedPage(html).text)


def test_a_measure_that_was_not_recorded_is_named(healthy):
    run = dataclasses.replace(healthy, train=(), evaluation=())
    figures = RunFigures(run)
    assert "The run recorded no loss." in make_loss_section(run, figures)
    assert "The run recorded no AUC for click." in make_auc_section(run, figures)
    assert make_auc_section(RunRecord("r"), RunFigures(RunRecord("r"))) == ""

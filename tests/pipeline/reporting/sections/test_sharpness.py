from __future__ import annotations

import dataclasses
import re

from steadyrank.pipeline.reporting import render
from tests.pipeline.reporting.page_parser import find_figure


def test_sharpness_is_drawn_against_the_bound_of_the_learning_rate(healthy):
    lines = [dict(line) | {"sharpness": 20.0, "learning_rate": 0.1} for line in healthy.train]
    page = render(dataclasses.replace(healthy, train=lines))
    svg = find_figure(page, "Sharpness", "largest eigenvalue")
    (bound,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    (line,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', svg)
    assert set(re.findall(r"[ML] \S+ (\S+)", bound)) == set(re.findall(r"[ML] \S+ (\S+)", line)), "both are 20"
    assert "Preconditioned" not in re.findall(r'aria-label="([^:"]*):', page)


def test_preconditioned_sharpness_has_a_panel_of_its_own(healthy):
    values = {"sharpness": 20.0, "sharpness_preconditioned": 3.0, "learning_rate": 0.0}
    page = render(dataclasses.replace(healthy, train=[dict(line) | values for line in healthy.train]))
    assert find_figure(page, "Preconditioned sharpness", "largest eigenvalue")

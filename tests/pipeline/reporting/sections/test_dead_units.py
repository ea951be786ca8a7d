from __future__ import annotations

import dataclasses
import math

from steadyrank.pipeline.reporting import render
from tests.pipeline.reporting.page_parser import find_figure


def test_only_layers_with_many_dead_units_are_drawn(healthy):
    lines = [
        dict(line) | {"dead_units/bottom": 0.21, "dead_units/tower": 0.2, "dead_units/lost": math.nan}
        for line in healthy.train
    ]
    page = render(dataclasses.replace(healthy, train=lines))
    assert find_figure(page, "bottom", "dead units, %")
    assert 'aria-label="tower: ' not in page
    assert 'aria-label="lost: ' not in page


def test_of_many_layers_the_worst_are_drawn(healthy):
    shares = {f"dead_units/layer_{index}": 0.3 + index / 100 for index in range(10)}
    page = render(dataclasses.replace(healthy, train=[dict(line) | shares for line in healthy.train]))
    assert "These are the 8 worst of 10 such layers." in page
    assert find_figure(page, "layer_9", "dead units, %")
    assert 'aria-label="layer_1: ' not in page

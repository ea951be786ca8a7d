from __future__ import annotations

import dataclasses
import math

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.clipping import make_clipping_section
from steadyrank.pipeline.reporting.sections.run_figures import RunFigures
from tests.pipeline.reporting.page_parser import ParsedPage


def read_text(run: RunRecord) -> str:
    return ParsedPage(make_clipping_section(RunFigures(run))).text


def test_without_a_rule_there_is_no_section():
    assert make_clipping_section(RunFigures(RunRecord("r"))) == ""


def test_each_layer_has_its_smallest_factor_and_clipped_steps_in_the_table(healthy):
    lines = [dict(line) for line in healthy.train]
    lines[3]["clipping_factor/shared_bottom/kernel"] = 0.02
    lines[4]["clipping_factor/shared_bottom/kernel"] = math.nan
    text = read_text(dataclasses.replace(healthy, train=lines))
    assert "shared_bottom/kernel 0.02000 (1 not finite) 128 30" in text


def test_of_many_layers_the_most_clipped_are_drawn(healthy):
    factors = {f"clipping_factor/layer_{index}": 0.5 for index in range(50)}
    text = read_text(dataclasses.replace(healthy, train=[{"step": 32, **factors}]))
    assert "The figure shows the 40 most clipped of 50 layers." in text

from __future__ import annotations

import re

from steadyrank.pipeline.reporting.figures.palette import MARK_STYLES
from steadyrank.pipeline.reporting.figures.step_axis import Mark
from tests.pipeline.reporting.curve_helpers import draw_training_curve
from tests.pipeline.reporting.page_parser import read_texts


def test_each_severity_has_a_color_and_a_spike_is_a_short_mark():
    assert len({style.color for name, style in MARK_STYLES.items() if name != "note"}) == 4
    svg = draw_training_curve([1.0] * 10, marks=[Mark(5, severity) for severity in MARK_STYLES])

    def measure_height(severity):
        color = MARK_STYLES[severity].color
        (path, *_) = [
            path
            for path, attributes in re.findall(r'<path d="(M [^"]*)"[^>]*style="([^"]*)"', svg)
            if f"stroke: {color}" in attributes
            and path.count("L") == 1
            and len(set(re.findall(r"[ML] (\S+)", path))) == 1
        ]
        ys = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
        return abs(ys[0] - ys[1])

    assert measure_height("spike") < 0.1 * measure_height("full")
    assert measure_height("full") == measure_height("range") == measure_height("rollback")


def test_marks_have_the_number_of_their_incident_and_near_ones_share_a_label():
    marks = [Mark(10, "range", 1), Mark(11, "full", 2), Mark(80, "full", 3), Mark(95, "full", 3)]
    texts = read_texts(draw_training_curve([1.0] * 100, marks=marks))
    assert "1\N{EN DASH}2" in texts
    assert texts.count("3") == 1, "only the first mark of an incident has its number"

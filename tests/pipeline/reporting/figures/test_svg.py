from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import matplotlib

from steadyrank.pipeline.reporting.analysis.series import EMPTY
from steadyrank.pipeline.reporting.figures.curves import Curve, draw_curves
from steadyrank.pipeline.reporting.figures.step_axis import Mark
from tests.pipeline.reporting.curve_helpers import draw_training_curve


def test_a_title_is_neither_markup_nor_formula():
    svg = draw_curves("f", "<b>$x_1$ & 'y'</b>", "loss", [Curve("training", EMPTY)], extent=1)
    assert "<b>" not in svg
    assert re.search(r"<text[^>]*>&lt;b&gt;\$x_1\$ &amp; 'y'&lt;/b&gt;</text>", svg)
    ET.fromstring(svg)


def test_ids_begin_with_the_name_of_the_figure_and_every_reference_exists():
    svg = draw_training_curve([1, math.nan, 2], marks=[Mark(1, "full", 1)])
    ids = re.findall(r' id="([^"]*)"', svg)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert ids
    assert all(name.startswith("f-") for name in ids)
    assert {a or b for a, b in used} <= set(ids)
    assert "http" not in svg


def test_equal_input_gives_equal_text_and_keeps_the_settings_of_the_caller():
    before = dict(matplotlib.rcParams)
    assert draw_training_curve([1, 2]) == draw_training_curve([1, 2])
    assert dict(matplotlib.rcParams) == before

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.series import EMPTY, Series
from steadyrank.pipeline.reporting.figures.curves import Curve, draw_curves
from steadyrank.pipeline.reporting.figures.palette import MARK_STYLES
from steadyrank.pipeline.reporting.figures.step_axis import Mark
from tests.pipeline.reporting.page_parser import read_texts
from tests.pipeline.reporting.strategies import NUMBERS


def make_series(values) -> Series:
    return Series(np.arange(1.0, len(values) + 1), np.array(values, np.float64))


def draw(values, **options) -> str:
    return draw_curves(
        "f", "click", "loss", [Curve("training", make_series(values))], extent=len(values) or 1, **options
    )


def find_line_paths(svg: str) -> list[str]:
    """The ``d`` of each path drawn in the color of the training curve."""
    return re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', svg)


def find_heights(svg: str) -> list[float]:
    return [float(y) for path in find_line_paths(svg) for y in re.findall(r"[ML] \S+ (\S+)", path)]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(NUMBERS, max_size=20), wide=st.booleans())
def test_any_values_give_a_complete_figure_with_every_cross(values, wide):
    svg = draw(values, wide=wide)
    ET.fromstring(svg)
    nonfinite = sum(not math.isfinite(value) for value in values)
    assert (f"not finite: {nonfinite} of {len(values)}" in svg) == (nonfinite > 0)
    # Every finite value is drawn within the figure, even if it would overflow.
    assert all(math.isfinite(height) and 0 <= height <= 260 for height in find_heights(svg))
    assert ("no values recorded" in svg) == (not values)


def test_the_line_breaks_at_a_nonfinite_value():
    assert len(find_line_paths(draw([1, 2, 3, 4]))) == 1
    assert len(find_line_paths(draw([1, 2, math.nan, 3, 4]))) == 2


def test_a_single_value_between_nonfinite_ones_is_a_dot():
    svg = draw([math.nan, 1.0, math.nan])
    assert re.search(r"<use [^>]*fill: #3d8fc4|<use [^>]*stroke: #3d8fc4", svg)


def test_a_spike_survives_thinning():
    values = np.full(20_000, 0.5)
    values[12_345] = 0.9
    drawn = find_heights(draw(values))
    assert len(drawn) <= 600
    # Large y is low on the page: only the spike is high up.
    assert min(drawn) < 60 < 150 < sorted(drawn)[1]


def test_values_over_orders_of_magnitude_get_a_logarithmic_axis():
    ticks = read_texts(draw([1, 1e4, 1e8]))
    assert {"1", "100 M"} <= set(ticks)
    at = find_heights(draw([1, 1e4, 1e8]))
    assert at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)


@pytest.mark.parametrize(("highest", "logarithmic"), [(9.9, False), (10.1, True)])
def test_the_axis_is_logarithmic_from_a_span_of_twenty_on(highest, logarithmic):
    at = find_heights(draw([0.5, 1, 2, highest]))
    # On a logarithmic axis equal factors are equal distances.
    assert (at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)) == logarithmic


def test_peaks_extend_the_axis_but_are_not_counted():
    peak = Curve("peak", Series(np.array([2.0]), np.array([1e6])))
    svg = draw_curves("f", "click", "loss", [Curve("training", make_series([1, math.nan, 1])), peak], extent=3)
    assert "not finite: 1 of 3" in svg
    assert "1 M" in read_texts(svg)


def test_each_severity_has_a_color_and_a_spike_is_a_short_mark():
    assert len({style.color for name, style in MARK_STYLES.items() if name != "note"}) == 4
    svg = draw([1.0] * 10, marks=[Mark(5, severity) for severity in MARK_STYLES])

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


def test_a_reference_spans_the_axis():
    ceiling = Curve("ceiling", Series(np.array([50.0]), np.array([0.8])))
    svg = draw_curves("f", "click", "AUC", [Curve("training", make_series([0.5, 0.7])), ceiling], extent=100)
    (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    positions = [float(x) for x in re.findall(r"[ML] (\S+) ", path)]
    assert max(positions) - min(positions) > 280


def test_marks_have_the_number_of_their_incident_and_near_ones_share_a_label():
    marks = [Mark(10, "range", 1), Mark(11, "full", 2), Mark(80, "full", 3), Mark(95, "full", 3)]
    texts = read_texts(draw([1.0] * 100, marks=marks))
    assert "1\N{EN DASH}2" in texts
    assert texts.count("3") == 1, "only the first mark of an incident has its number"


def test_a_title_is_neither_markup_nor_formula():
    svg = draw_curves("f", "<b>$x_1$ & 'y'</b>", "loss", [Curve("training", EMPTY)], extent=1)
    assert "<b>" not in svg
    assert re.search(r"<text[^>]*>&lt;b&gt;\$x_1\$ &amp; 'y'&lt;/b&gt;</text>", svg)
    ET.fromstring(svg)


def test_ids_begin_with_the_name_of_the_figure_and_every_reference_exists():
    svg = draw([1, math.nan, 2], marks=[Mark(1, "full", 1)])
    ids = re.findall(r' id="([^"]*)"', svg)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert ids
    assert all(name.startswith("f-") for name in ids)
    assert {a or b for a, b in used} <= set(ids)
    assert "http" not in svg


def test_equal_input_gives_equal_text_and_keeps_the_settings_of_the_caller():
    before = dict(matplotlib.rcParams)
    assert draw([1, 2]) == draw([1, 2])
    assert dict(matplotlib.rcParams) == before

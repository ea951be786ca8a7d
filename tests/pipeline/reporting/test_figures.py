from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.figures import Curve, Mark, curves, heat_map, most_clipped
from steadyrank.pipeline.reporting.series import EMPTY, Series

ANY = st.one_of(st.floats(), st.sampled_from([0.0, 5e-324, 1.8e308, -1.8e308, 3.4e38, math.nan, math.inf]))


def series(values) -> Series:
    return Series(np.arange(1.0, len(values) + 1), np.array(values, np.float64))


def one(values, **options) -> str:
    return curves("f", "click", "loss", [Curve("training", series(values))], extent=len(values) or 1, **options)


def line_paths(svg: str) -> list[str]:
    """The ``d`` of each path drawn in the colour of the training line."""
    return re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', svg)


def heights(svg: str) -> list[float]:
    return [float(y) for path in line_paths(svg) for y in re.findall(r"[ML] \S+ (\S+)", path)]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(ANY, max_size=20), wide=st.booleans())
def test_any_values_give_a_whole_figure_and_no_cross_is_forgotten(values, wide):
    svg = one(values, wide=wide)
    ET.fromstring(svg)
    broken = sum(not math.isfinite(value) for value in values)
    assert (f"not finite: {broken} of {len(values)}" in svg) == (broken > 0)
    # Every finite value is drawn within the figure, not at some overflown place.
    assert all(math.isfinite(height) and 0 <= height <= 260 for height in heights(svg))
    assert ("no values recorded" in svg) == (not values)


def test_the_line_breaks_at_what_is_not_finite():
    assert len(line_paths(one([1, 2, 3, 4]))) == 1
    assert len(line_paths(one([1, 2, math.nan, 3, 4]))) == 2


def test_a_lone_value_between_two_that_are_not_finite_is_seen():
    svg = one([math.nan, 1.0, math.nan])
    assert re.search(r"<use [^>]*fill: #3d8fc4|<use [^>]*stroke: #3d8fc4", svg)


def test_a_spike_stands_out_after_thinning():
    values = np.full(20_000, 0.5)
    values[12_345] = 0.9
    drawn = heights(one(values))
    assert len(drawn) <= 600
    # The usual values lie low on the page, which is at large y; the spike alone is high up.
    assert min(drawn) < 60 < 150 < sorted(drawn)[1]


def test_orders_of_magnitude_take_a_logarithmic_axis():
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", one([1, 1e4, 1e8]))
    assert {"1", "100 M"} <= set(ticks)
    at = heights(one([1, 1e4, 1e8]))
    assert at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)


def test_references_span_the_axis():
    ceiling = Curve("ceiling", Series(np.array([50.0]), np.array([0.8])))
    svg = curves("f", "click", "AUC", [Curve("training", series([0.5, 0.7])), ceiling], extent=100)
    (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    across = [float(x) for x in re.findall(r"[ML] (\S+) ", path)]
    assert max(across) - min(across) > 280


def test_marks_carry_their_number_and_near_ones_share_a_label():
    marks = [Mark(10, False, 1), Mark(11, True, 2), Mark(80, True, 3)]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", one([1.0] * 100, marks=marks))
    assert "1\N{EN DASH}2" in texts
    assert "3" in texts


def test_titles_are_text_and_no_markup_or_formula():
    svg = curves("f", "<b>$x_1$ & 'y'</b>", "loss", [Curve("training", EMPTY)], extent=1)
    assert "<b>" not in svg
    assert re.search(r"<text[^>]*>&lt;b&gt;\$x_1\$ &amp; 'y'&lt;/b&gt;</text>", svg)
    ET.fromstring(svg)


def test_ids_carry_the_figures_name_and_every_reference_is_met():
    svg = one([1, math.nan, 2], marks=[Mark(1, True, 1)])
    ids = re.findall(r' id="([^"]*)"', svg)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert ids
    assert all(name.startswith("f-") for name in ids)
    assert {a or b for a, b in used} <= set(ids)
    assert "http" not in svg


def test_equal_input_gives_equal_text_and_the_callers_settings_stay():
    before = dict(matplotlib.rcParams)
    assert one([1, 2]) == one([1, 2])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("wide", [True, False])
def test_heat_map_names_each_layer_and_marks_what_is_not_finite(wide):
    layers = {"bottom/kernel": series([1.0, 0.0, 1e-9]), "tower/kernel": series([1.0, math.nan, 0.5])}
    svg = heat_map("h", layers, extent=3, marks=[Mark(2, True, 1)], wide=wide)
    ET.fromstring(svg)
    assert all(layer in svg for layer in layers)
    assert "not finite" in svg
    assert "not finite" not in heat_map("h", {"a": series([1.0])}, extent=1, wide=wide)
    assert 'href="data:image/png' in svg


def test_heat_map_of_a_layer_without_any_finite_factor():
    ET.fromstring(heat_map("h", {"a": series([math.nan, math.inf])}, extent=2))


def test_of_many_layers_the_most_clipped_are_drawn_in_their_order():
    layers = {f"layer_{place}": series([1.0 - place / 100]) for place in range(60)}
    layers["broken"] = series([math.nan])
    shown = most_clipped(layers)
    assert shown == [f"layer_{place}" for place in range(21, 60)] + ["broken"]

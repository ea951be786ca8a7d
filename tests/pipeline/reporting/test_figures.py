from __future__ import annotations

import base64
import io
import itertools
import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.figures import MARKS, Curve, Mark, curves, heat_map, most_clipped
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


@pytest.mark.parametrize(("highest", "logarithmic"), [(9.9, False), (10.1, True)])
def test_the_axis_turns_logarithmic_at_a_span_of_twenty(highest, logarithmic):
    at = heights(one([0.5, 1, 2, highest]))
    # On a logarithmic axis equal factors are equal distances.
    assert (at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)) == logarithmic


def test_single_steps_above_the_curve_stretch_its_axis_and_count_for_nothing_else():
    largest = Curve("largest", Series(np.array([2.0]), np.array([1e6])))
    svg = curves("f", "click", "loss", [Curve("training", series([1, math.nan, 1])), largest], extent=3)
    assert "not finite: 1 of 3" in svg
    assert "1 M" in re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_each_severity_has_a_colour_and_a_spike_is_a_small_tick():
    assert len({look["color"] for name, look in MARKS.items() if name != "note"}) == 4
    svg = one([1.0] * 10, marks=[Mark(5, severity) for severity in MARKS])

    def height(severity):
        look = MARKS[severity]
        (path, *_) = [
            path
            for path, style in re.findall(r'<path d="(M [^"]*)"[^>]*style="([^"]*)"', svg)
            if f"stroke: {look['color']}" in style
            and path.count("L") == 1
            and len(set(re.findall(r"[ML] (\S+)", path))) == 1
        ]
        ys = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
        return abs(ys[0] - ys[1])

    assert height("spike") < 0.1 * height("full")
    assert height("full") == height("range") == height("rollback")


def test_references_span_the_axis():
    ceiling = Curve("ceiling", Series(np.array([50.0]), np.array([0.8])))
    svg = curves("f", "click", "AUC", [Curve("training", series([0.5, 0.7])), ceiling], extent=100)
    (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    across = [float(x) for x in re.findall(r"[ML] (\S+) ", path)]
    assert max(across) - min(across) > 280


def test_marks_carry_their_number_and_near_ones_share_a_label():
    marks = [Mark(10, "range", 1), Mark(11, "full", 2), Mark(80, "full", 3), Mark(95, "full", 3)]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", one([1.0] * 100, marks=marks))
    assert "1\N{EN DASH}2" in texts
    assert texts.count("3") == 1, "an incident's number stands at its first mark alone"


def test_titles_are_text_and_no_markup_or_formula():
    svg = curves("f", "<b>$x_1$ & 'y'</b>", "loss", [Curve("training", EMPTY)], extent=1)
    assert "<b>" not in svg
    assert re.search(r"<text[^>]*>&lt;b&gt;\$x_1\$ &amp; 'y'&lt;/b&gt;</text>", svg)
    ET.fromstring(svg)


def test_ids_carry_the_figures_name_and_every_reference_is_met():
    svg = one([1, math.nan, 2], marks=[Mark(1, "full", 1)])
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
    svg = heat_map("h", layers, extent=3, marks=[Mark(2, "full", 1)], wide=wide)
    ET.fromstring(svg)
    assert all(layer in svg for layer in layers)
    assert "not finite" in svg
    assert "not finite" not in heat_map("h", {"a": series([1.0])}, extent=1, wide=wide)
    assert 'href="data:image/png' in svg


def cells(svg: str) -> np.ndarray:
    """The colours of the map, as rows of red, green, blue and opacity."""
    data = re.search(r'href="data:image/png;base64,([^"]*)"', svg)
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data[1])), format="png")
    return np.asarray(picture)


def brightness(cell: np.ndarray) -> float:
    return float(cell[:3].mean())


def test_cells_darken_with_the_logarithm_of_the_factor_down_to_a_hundredth():
    factors = Series(32.0 * np.arange(1, 8), np.array([1.0, 0.3, 0.1, 0.03, 0.01, 1e-5, 1.0]))
    picture = cells(heat_map("h", {"layer": factors}, extent=224, wide=True))
    # Seven publications fill the width evenly, each to its very edge.
    row = picture[picture.shape[0] // 2]
    edges = np.flatnonzero(np.abs(np.diff(row, axis=0)).max(axis=1) > 0.02) + 1
    # Between the fifth and the sixth, both darkest, there is no edge.
    assert edges / len(row) * 7 == pytest.approx([1, 2, 3, 4, 6], abs=0.01)
    columns = np.array_split(row, 7)
    found = [brightness(column[len(column) // 2]) for column in columns]
    assert found[0] > 0.9
    assert found[4] < 0.25
    assert all(a > b + 0.05 for a, b in itertools.pairwise(found[:5]))
    assert found[4] == pytest.approx(found[5]), "below 0.01 all is darkest"


def test_rows_of_the_map_are_the_layers_in_their_order():
    layers = {"first": series([0.01, 0.01]), "second": series([1.0, 1.0]), "third": series([0.01, 0.01])}
    picture = cells(heat_map("h", layers, extent=2, wide=True))
    third = picture.shape[0] // 3
    found = [brightness(picture[third // 2 + place * third, picture.shape[1] // 2]) for place in range(3)]
    assert found[0] < 0.3 < 0.9 < found[1]
    assert found[2] < 0.3


def test_the_scale_says_what_is_darkest():
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", heat_map("h", {"a": series([0.5])}, extent=1))
    assert {"1", "0.1", "≤ 0.01"} <= set(texts)


def test_heat_map_of_a_layer_without_any_finite_factor():
    ET.fromstring(heat_map("h", {"a": series([math.nan, math.inf])}, extent=2))


def test_of_many_layers_the_most_clipped_are_drawn_in_their_order():
    layers = {f"layer_{place}": series([1.0 - place / 100]) for place in range(60)}
    layers["broken"] = series([math.nan])
    shown = most_clipped(layers)
    assert shown == [f"layer_{place}" for place in range(21, 60)] + ["broken"]

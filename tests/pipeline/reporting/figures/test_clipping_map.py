from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from steadyrank.pipeline.reporting.analysis.series import Series
from steadyrank.pipeline.reporting.figures.clipping_map import draw_clipping_map, select_most_clipped
from steadyrank.pipeline.reporting.figures.step_axis import Mark
from tests.pipeline.reporting.curve_helpers import make_series
from tests.pipeline.reporting.page_parser import read_cells, read_texts


@pytest.mark.parametrize("wide", [True, False])
def test_the_map_names_each_layer_and_marks_nonfinite_factors(wide):
    layers = {"bottom/kernel": make_series([1.0, 0.0, 1e-9]), "tower/kernel": make_series([1.0, math.nan, 0.5])}
    svg = draw_clipping_map("h", layers, extent=3, marks=[Mark(2, "full", 1)], wide=wide)
    ET.fromstring(svg)
    assert all(layer in svg for layer in layers)
    assert "not finite" in svg
    assert "not finite" not in draw_clipping_map("h", {"a": make_series([1.0])}, extent=1, wide=wide)
    assert 'href="data:image/png' in svg


def measure_brightness(cell: np.ndarray) -> float:
    return float(cell[:3].mean())


def test_cells_darken_with_the_logarithm_of_the_factor_down_to_a_hundredth():
    factors = Series(32.0 * np.arange(1, 8), np.array([1.0, 0.3, 0.1, 0.03, 0.01, 1e-5, 1.0]))
    picture = read_cells(draw_clipping_map("h", {"layer": factors}, extent=224, wide=True))
    # Seven publications fill the width evenly.
    row = picture[picture.shape[0] // 2]
    edges = np.flatnonzero(np.abs(np.diff(row, axis=0)).max(axis=1) > 0.02) + 1
    # There is no edge between the fifth and the sixth, which are both darkest.
    assert edges / len(row) * 7 == pytest.approx([1, 2, 3, 4, 6], abs=0.01)
    columns = np.array_split(row, 7)
    brightness = [measure_brightness(column[len(column) // 2]) for column in columns]
    assert brightness[0] > 0.9
    assert brightness[4] < 0.25
    assert all(a > b + 0.05 for a, b in itertools.pairwise(brightness[:5]))
    assert brightness[4] == pytest.approx(brightness[5]), "below 0.01 every factor has the darkest color"


def test_the_rows_are_the_layers_in_their_order():
    layers = {"first": make_series([0.01, 0.01]), "second": make_series([1.0, 1.0]), "third": make_series([0.01, 0.01])}
    picture = read_cells(draw_clipping_map("h", layers, extent=2, wide=True))
    third = picture.shape[0] // 3
    brightness = [measure_brightness(picture[third // 2 + index * third, picture.shape[1] // 2]) for index in range(3)]
    assert brightness[0] < 0.3 < 0.9 < brightness[1]
    assert brightness[2] < 0.3


def test_the_color_scale_labels_its_darkest_color():
    texts = read_texts(draw_clipping_map("h", {"a": make_series([0.5])}, extent=1))
    assert {"1", "0.1", "≤ 0.01"} <= set(texts)


def test_a_layer_without_a_finite_factor_is_drawn():
    ET.fromstring(draw_clipping_map("h", {"a": make_series([math.nan, math.inf])}, extent=2))


def test_of_many_layers_the_most_clipped_are_selected_in_their_order():
    layers = {f"layer_{index}": make_series([1.0 - index / 100]) for index in range(60)}
    layers["broken"] = make_series([math.nan])
    shown = select_most_clipped(layers)
    assert shown == [f"layer_{index}" for index in range(21, 60)] + ["broken"]

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.series import Series
from steadyrank.pipeline.reporting.figures.curves import Curve, draw_curves
from tests.pipeline.reporting.curve_helpers import draw_training_curve, make_series
from tests.pipeline.reporting.page_parser import read_texts
from tests.pipeline.reporting.strategies import NUMBERS


def find_line_paths(svg: str) -> list[str]:
    """The ``d`` of each path drawn in the color of the training curve."""
    return re.findall(r'<path d="([^"]*)"[^>]*stroke: #3d8fc4', svg)


def find_heights(svg: str) -> list[float]:
    return [float(y) for path in find_line_paths(svg) for y in re.findall(r"[ML] \S+ (\S+)", path)]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(NUMBERS, max_size=20), wide=st.booleans())
def test_any_values_give_a_complete_figure_with_every_cross(values, wide):
    svg = draw_training_curve(values, wide=wide)
    ET.fromstring(svg)
    nonfinite = sum(not math.isfinite(value) for value in values)
    assert (f"not finite: {nonfinite} of {len(values)}" in svg) == (nonfinite > 0)
    # Every finite value is drawn within the figure, even if it would overflow.
    assert all(math.isfinite(height) and 0 <= height <= 260 for height in find_heights(svg))
    assert ("no values recorded" in svg) == (not values)


def test_the_line_breaks_at_a_nonfinite_value():
    assert len(find_line_paths(draw_training_curve([1, 2, 3, 4]))) == 1
    assert len(find_line_paths(draw_training_curve([1, 2, math.nan, 3, 4]))) == 2


def test_a_single_value_between_nonfinite_ones_is_a_dot():
    svg = draw_training_curve([math.nan, 1.0, math.nan])
    assert re.search(r"<use [^>]*fill: #3d8fc4|<use [^>]*stroke: #3d8fc4", svg)


def test_a_spike_survives_thinning():
    values = np.full(20_000, 0.5)
    values[12_345] = 0.9
    drawn = find_heights(draw_training_curve(values))
    assert len(drawn) <= 600
    # Large y is low on the page: only the spike is high up.
    assert min(drawn) < 60 < 150 < sorted(drawn)[1]


def test_values_over_orders_of_magnitude_get_a_logarithmic_axis():
    ticks = read_texts(draw_training_curve([1, 1e4, 1e8]))
    assert {"1", "100 M"} <= set(ticks)
    at = find_heights(draw_training_curve([1, 1e4, 1e8]))
    assert at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)


@pytest.mark.parametrize(("highest", "logarithmic"), [(9.9, False), (10.1, True)])
def test_the_axis_is_logarithmic_from_a_span_of_twenty_on(highest, logarithmic):
    at = find_heights(draw_training_curve([0.5, 1, 2, highest]))
    # On a logarithmic axis equal factors are equal distances.
    assert (at[0] - at[1] == pytest.approx(at[1] - at[2], abs=0.1)) == logarithmic


def test_peaks_extend_the_axis_but_are_not_counted():
    peak = Curve("peak", Series(np.array([2.0]), np.array([1e6])))
    svg = draw_curves("f", "click", "loss", [Curve("training", make_series([1, math.nan, 1])), peak], extent=3)
    assert "not finite: 1 of 3" in svg
    assert "1 M" in read_texts(svg)


def test_a_reference_spans_the_axis():
    ceiling = Curve("ceiling", Series(np.array([50.0]), np.array([0.8])))
    svg = draw_curves("f", "click", "AUC", [Curve("training", make_series([0.5, 0.7])), ceiling], extent=100)
    (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray[^>]*stroke: #1c2330', svg)
    positions = [float(x) for x in re.findall(r"[ML] (\S+) ", path)]
    assert max(positions) - min(positions) > 280

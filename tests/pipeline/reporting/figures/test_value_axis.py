from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.figures.value_axis import (
    choose_limits,
    choose_scale,
    clip_to_drawable,
    format_tick,
    make_round_ticks,
)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.5, 0.7], "linear"),
        ([0.5, 8e12], "log"),
        ([0.0, 1.0, 2.0], "linear"),
        ([-1.0, 1.0, 1.0, 1e9], "symlog"),
        ([0.0], "linear"),
    ],
)
def test_the_scale_depends_on_the_span_of_the_values(values, scale):
    assert choose_scale(np.array(values)) == scale


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_limits_are_finite_and_include_every_value(values):
    values = clip_to_drawable(np.array(values))
    scale = choose_scale(values)
    low, high = choose_limits(values, scale)
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    assert low <= values.min()
    assert values.max() <= high
    assert low > 0 or scale != "log"


def test_there_is_no_margin_beyond_a_bound():
    assert choose_limits(np.array([0.0, 10.0]), "linear", (0.0, None))[0] == 0.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (2000, "2,000"), (150_000, "150 k"), (2e6, "2 M"), (1e-5, "10⁻⁵"), (1e12, "10¹²")],
)
def test_tick_labels_are_short(value, text):
    assert format_tick(value) == text


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
@example(999_200.0, 1000.0)
@example(1000.0, 1.1)
def test_tick_labels_of_one_axis_have_equal_decimals_and_differ(low, span):
    assume(span > 1e-3 * abs(low))
    ticks, labels = make_round_ticks(low, low + span)
    assert all(low <= value <= low + span for value in ticks)
    assert len(set(labels)) == len(labels)
    if all(value == 0 or 1e-3 <= abs(value) < 1e3 for value in ticks):
        assert len({len(text.partition(".")[2]) for text in labels}) == 1

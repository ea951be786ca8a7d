from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.reductions import average_by_step, compute_slice_minima, split_at_gaps, thin
from tests.pipeline.reporting.curve_helpers import make_series

VALUES = st.lists(st.floats(width=32), min_size=1, max_size=300)


@given(values=VALUES, limit=st.integers(min_value=5, max_value=60))
def test_thinning_keeps_extremes_ends_and_nonfinite_values(values, limit):
    full = make_series(values)
    few = thin(full, limit)
    assert len(few.steps) <= max(limit, 5)
    # The result is a part of the series, in the same order.
    assert (np.diff(few.steps) > 0).all()
    np.testing.assert_array_equal(few.values, full.values[few.steps.astype(int) - 1])
    assert {few.steps[0], few.steps[-1]} == {full.steps[0], full.steps[-1]}
    if full.finite_mask.any():
        assert few.values[few.finite_mask].min() == full.values[full.finite_mask].min()
        assert few.values[few.finite_mask].max() == full.values[full.finite_mask].max()
    assert few.finite_mask.all() == full.finite_mask.all()


@given(position=st.integers(0, 9_999), value=st.sampled_from([1e12, -1e12, math.nan, math.inf]))
def test_one_spike_in_ten_thousand_points_survives(position, value):
    values = np.random.default_rng(0).normal(size=10_000)
    values[position] = value
    few = thin(make_series(values))
    assert len(few.steps) <= 600
    assert position + 1 in few.steps.tolist()


def test_thinning_leaves_a_short_series_alone():
    short = make_series(range(600))
    assert thin(short) is short


def test_a_line_breaks_at_a_nonfinite_value_and_where_the_step_goes_back():
    pieces = split_at_gaps(make_series([1, 2, math.nan, 3, 4, 5, math.inf], steps=[1, 2, 3, 4, 5, 2, 3]))
    assert [piece.values.tolist() for piece in pieces] == [[1, 2], [3, 4], [5]]
    assert split_at_gaps(make_series([math.nan])) == []


@given(values=VALUES)
def test_the_pieces_hold_every_finite_value_once(values):
    full = make_series(values)
    assert [value for piece in split_at_gaps(full) for value in piece.values] == full.values[full.finite_mask].tolist()


def test_values_are_averaged_by_step():
    means = average_by_step(make_series([4, 2, 6, math.nan], steps=[20, 10, 20, 30]))
    assert (means.steps.tolist(), means.values.tolist()) == ([10, 20], [2, 5])
    huge = average_by_step(make_series([1.5e308, 1.5e308], steps=[1, 1]))
    assert huge.values[0] == pytest.approx(1.5e308)


def test_a_value_stands_for_the_steps_since_the_line_before_it():
    minima, nonfinite = compute_slice_minima(make_series([0.5, 0.2, math.nan], steps=[10, 40, 50]), extent=60, slices=6)
    assert minima[:4].tolist() == [0.5, 0.2, 0.2, 0.2]
    assert np.isnan(minima[4:]).all()
    assert nonfinite.tolist() == [False, False, False, False, True, False]


def test_a_slice_that_holds_several_lines_keeps_the_smallest_value():
    minima, _ = compute_slice_minima(make_series([0.9, 0.1, 0.8, 0.7], steps=[1, 2, 3, 4]), extent=4, slices=2)
    assert minima.tolist() == [0.1, 0.7]


def test_a_line_that_ends_at_the_edge_of_a_slice_does_not_touch_the_next():
    values = np.linspace(0.1, 1.0, 14)[::-1]
    minima, _ = compute_slice_minima(
        make_series(values, steps=[32 * index for index in range(1, 15)]), extent=448, slices=84
    )
    np.testing.assert_array_equal(minima, np.repeat(values, 6))


@given(values=VALUES, slices=st.integers(1, 40), stride=st.integers(1, 50))
def test_slices_lose_no_value(values, slices, stride):
    full = make_series(values, steps=[stride * (index + 1) for index in range(len(values))])
    minima, nonfinite = compute_slice_minima(full, full.steps[-1], slices)
    assert nonfinite.any() == (not full.finite_mask.all())
    if full.finite_mask.any():
        assert np.nanmin(minima) == full.values[full.finite_mask].min()
    # Consecutive lines leave no slice untouched.
    assert (~np.isnan(minima) | nonfinite).all()

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.series import Series, lowest_in_slices, mean_by_step, peaks, pieces, read, thin

VALUES = st.lists(st.floats(width=32), min_size=1, max_size=300)


def series(values, steps=None) -> Series:
    values = np.array(values, np.float64)
    return Series(np.arange(len(values), dtype=np.float64) if steps is None else np.array(steps, np.float64), values)


def test_read_passes_over_what_is_no_number():
    lines = [{"step": 1, "a": 2}, {"step": 2}, {"a": 5}, {"step": math.nan, "a": 5}, {"step": 3, "a": None}]
    lines += [{"step": 4, "a": math.inf}, {"step": 5, "a": True}, {"step": "6", "a": 1.0}, {"step": 7, "a": 10**400}]
    found = read(lines)["a"]
    assert found.steps.tolist() == [1, 4, 7]
    assert found.values.tolist() == [2, math.inf, math.inf]
    assert read([]) == {}


@given(values=VALUES, limit=st.integers(min_value=5, max_value=60))
def test_thinning_keeps_extremes_ends_and_what_is_not_finite(values, limit):
    full = series(values)
    few = thin(full, limit)
    assert len(few.steps) <= max(limit, 5)
    # What is left is part of what there was, in its order.
    assert (np.diff(few.steps) > 0).all()
    np.testing.assert_array_equal(few.values, full.values[few.steps.astype(int)])
    assert {few.steps[0], few.steps[-1]} == {full.steps[0], full.steps[-1]}
    if full.finite.any():
        assert few.values[few.finite].min() == full.values[full.finite].min()
        assert few.values[few.finite].max() == full.values[full.finite].max()
    assert few.finite.all() == full.finite.all()


@given(place=st.integers(0, 9_999), height=st.sampled_from([1e12, -1e12, math.nan, math.inf]))
def test_one_spike_in_ten_thousand_points_survives(place, height):
    values = np.random.default_rng(0).normal(size=10_000)
    values[place] = height
    few = thin(series(values))
    assert len(few.steps) <= 600
    assert place in few.steps.tolist()


def test_thinning_leaves_a_short_series_alone():
    short = series(range(600))
    assert thin(short) is short


def test_pieces_break_where_a_value_is_not_finite_and_where_the_run_went_back():
    found = pieces(series([1, 2, math.nan, 3, 4, 5, math.inf], steps=[1, 2, 3, 4, 5, 2, 3]))
    assert [piece.values.tolist() for piece in found] == [[1, 2], [3, 4], [5]]
    assert pieces(series([math.nan])) == []


@given(values=VALUES)
def test_pieces_hold_every_finite_value_once(values):
    full = series(values)
    assert [value for piece in pieces(full) for value in piece.values] == full.values[full.finite].tolist()


def test_mean_by_step():
    found = mean_by_step(series([4, 2, 6, math.nan], steps=[20, 10, 20, 30]))
    assert (found.steps.tolist(), found.values.tolist()) == ([10, 20], [2, 5])
    huge = mean_by_step(series([1.5e308, 1.5e308], steps=[1, 1]))
    assert huge.values[0] == pytest.approx(1.5e308)


def test_a_value_stands_for_the_steps_since_the_line_before_it():
    lowest, broken = lowest_in_slices(series([0.5, 0.2, math.nan], steps=[10, 40, 50]), extent=60, slices=6)
    assert lowest[:4].tolist() == [0.5, 0.2, 0.2, 0.2]
    assert np.isnan(lowest[4:]).all()
    assert broken.tolist() == [False, False, False, False, True, False]


def test_slices_wider_than_lines_keep_the_smallest():
    lowest, _ = lowest_in_slices(series([0.9, 0.1, 0.8, 0.7], steps=[1, 2, 3, 4]), extent=4, slices=2)
    assert lowest.tolist() == [0.1, 0.7]


def test_lines_that_end_at_a_slices_edge_do_not_touch_the_next():
    values = np.linspace(0.1, 1.0, 14)[::-1]
    lowest, _ = lowest_in_slices(series(values, steps=[32 * place for place in range(1, 15)]), extent=448, slices=84)
    np.testing.assert_array_equal(lowest, np.repeat(values, 6))


@given(values=VALUES, slices=st.integers(1, 40), stride=st.integers(1, 50))
def test_no_value_is_lost_in_slices(values, slices, stride):
    full = series(values, steps=[stride * (place + 1) for place in range(len(values))])
    lowest, broken = lowest_in_slices(full, full.steps[-1], slices)
    assert broken.any() == (not full.finite.all())
    if full.finite.any():
        assert np.nanmin(lowest) == full.values[full.finite].min()
    # Lines that follow one another leave no slice untouched.
    assert (~np.isnan(lowest) | broken).all()


def test_peaks_are_the_largest_losses_far_above_the_mean_at_their_own_steps():
    lines = [
        {"step": 32, "loss/a": 1.0, "loss_max/a": 3.0, "loss_max_step/a": 20},
        {"step": 64, "loss/a": 1.0, "loss_max/a": 3.1, "loss_max_step/a": 40},
        {"step": 96, "loss/a": math.nan, "loss_max/a": 2.0, "loss_max_step/a": 70},
        {"step": 128, "loss/a": 1.0, "loss_max/a": math.inf, "loss_max_step/a": 100},
        {"step": 160, "loss/a": 1.0, "loss_max/a": 9.0, "loss_max_step/a": 170},
        {"step": 192, "loss/a": 1.0, "loss_max/b": 9.0},
    ]
    found = peaks(lines, "loss/a")
    assert found.steps.tolist() == [40, 70, 160], "a step after its publication is not believed"
    assert found.values.tolist() == [3.1, 2.0, 9.0]
    assert peaks([{"step": 1, "loss": 1, "loss_max": 5}], "loss").values.tolist() == [5]

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.data.movielens.history import History

# Few groups and few times, so that many rows have equal times.
rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(-9, 9), st.booleans()), min_size=1, max_size=40
)


def make_table(rows):
    group, time, value, mask = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[1]), strict=True))
    return group, time, value, mask


def find_earlier_rows(group, time, row):
    return [i for i in range(len(time)) if group[i] == group[row] and time[i] < time[row]]


@settings(deadline=None)
@given(rows=rows, last=st.integers(0, 4))
def test_results_match_a_scan_over_all_rows(rows, last):
    group, time, value, mask = make_table(rows)
    history = History(group, time)
    earlier = [find_earlier_rows(group, time, row) for row in range(len(time))]
    np.testing.assert_array_equal(history.count, [len(rows_before) for rows_before in earlier])
    np.testing.assert_array_equal(history.sum(value), [sum(value[i] for i in rows_before) for rows_before in earlier])
    latest_rows = [rows_before[-last:] if last else rows_before for rows_before in earlier]
    np.testing.assert_array_equal(history.sum(value, last), [sum(value[i] for i in window) for window in latest_rows])
    latest = history.select(mask).latest(slice(None), 3)
    for row, rows_before in enumerate(earlier):
        expected = [i for i in reversed(rows_before) if mask[i]][:3]
        assert latest[row].tolist() == expected + [-1] * (3 - len(expected))


def test_rows_with_equal_times_do_not_see_each_other():
    history = History(group=np.array([1, 1, 2, 1]), time=np.array([10, 10, 10, 11]))
    assert history.count.tolist() == [0, 0, 0, 2]
    assert history.sum(np.array([5, 7, 100, 1])).tolist() == [0, 0, 0, 12]
    assert history.first(np.array([5, 7, 100, 1])).tolist() == [5, 5, 100, 5]


def test_sums_are_exact_where_floats_would_round():
    history = History(group=np.array([0, 0, 1, 1]), time=np.arange(4))
    assert history.sum(np.array([2**60, 0, 1, 0])).tolist() == [0, 2**60, 0, 1]


def test_latest_accepts_a_slice_or_row_numbers():
    recent = History(np.zeros(5, int), np.arange(5)).select(np.array([True, False, True, True, True]))
    assert recent.latest(slice(3, 5), 2).tolist() == [[2, 0], [3, 2]]
    assert recent.latest(np.array([4, 0]), 2).tolist() == [[3, 2], [-1, -1]]


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="time must not decrease, got 1 after 3 at row 2"):
        History(np.zeros(3, int), np.array([0, 3, 1]))
    with pytest.raises(ValueError, match=r"equal length, got shapes \(2,\) and \(3,\)"):
        History(np.zeros(2, int), np.arange(3))
    with pytest.raises(TypeError, match=r"integers or booleans.*got float64"):
        History(np.zeros(2, int), np.arange(2)).sum(np.array([0.5, 0.25]))

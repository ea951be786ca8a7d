from __future__ import annotations

import pytest

from steadyrank.pipeline.data.checks.tolerance import compute_tolerance, is_far


@pytest.mark.parametrize(
    ("previous", "tolerance"),
    [
        ([1.0], 2.0),
        ([1.0, 1.0], 2.0),
        ([1.0, 1.0, 1.0], 1.0),
        # The median distance from 2 is 1.
        ([1.0, 2.0, 3.0], 1.0 + 4.0),
        # One far day does not change the median distance.
        ([1.0, 1.0, 1.0, 1.0, 100.0], 1.0),
    ],
)
def test_the_tolerance_grows_with_the_usual_spread_and_with_few_days(previous, tolerance):
    assert compute_tolerance(previous, min_distance=1.0) == tolerance


def test_the_bound_itself_is_not_far():
    assert not is_far(2.0, [1.0] * 3, min_distance=1.0)
    assert is_far(2.001, [1.0] * 3, min_distance=1.0)
    assert is_far(-0.001, [1.0] * 3, min_distance=1.0)


def test_five_standard_errors_are_added():
    assert not is_far(2.4, [1.0] * 3, min_distance=1.0, standard_error=0.1)
    assert is_far(2.6, [1.0] * 3, min_distance=1.0, standard_error=0.1)

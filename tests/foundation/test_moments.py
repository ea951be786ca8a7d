"""Running mean and standard deviation."""

from __future__ import annotations

import numpy as np

from steadyrank.foundation.moments import Moments


def test_merged_moments_equal_the_moments_of_all_values():
    values = np.random.default_rng(0).normal(5.0, 3.0, size=(1000, 3))
    moments = Moments(3)
    for part in np.split(values, [1, 7, 400]):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation(), values.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(moments.count, [1000, 1000, 1000])


def test_a_large_mean_does_not_reduce_precision():
    values = np.random.default_rng(0).normal(size=(1000, 1))
    moments = Moments(1)
    for part in np.array_split(values + 1e8, 10):
        moments.add(part)
    np.testing.assert_allclose(moments.deviation(), values.std(axis=0), rtol=1e-6)


def test_values_that_are_not_finite_are_left_out():
    moments = Moments(2)
    moments.add(np.array([[1.0, np.nan], [3.0, np.inf], [np.nan, -np.inf]]))
    np.testing.assert_array_equal(moments.count, [2, 0])
    np.testing.assert_array_equal(moments.mean, [2, 0])
    np.testing.assert_array_equal(moments.deviation(), [1, 0])


def test_no_rows_change_nothing():
    moments = Moments(1)
    moments.add(np.zeros((0, 1)))
    assert (moments.count, moments.mean, moments.deviation()) == (0, 0, 0)

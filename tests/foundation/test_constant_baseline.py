"""The loss of the best constant prediction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from steadyrank.foundation.constant_baseline import constant_cross_entropy, smoothed_share


def test_cross_entropy_equals_the_mean_over_rows():
    labels = np.array([1.0, 0.0, 0.0, 0.0])
    by_row = -np.mean(labels * np.log(0.3) + (1 - labels) * np.log(0.7))
    assert constant_cross_entropy(0.25, 0.3) == pytest.approx(by_row)


def test_the_label_mean_is_the_best_constant():
    best = constant_cross_entropy(0.2, 0.2)
    assert all(constant_cross_entropy(0.2, p) > best for p in (0.05, 0.19, 0.21, 0.9))


def test_cross_entropy_works_on_arrays():
    losses = constant_cross_entropy(np.array([0.5, 0.1]), np.array([0.5, 0.1]), np.log)
    assert losses == pytest.approx([constant_cross_entropy(0.5, 0.5), constant_cross_entropy(0.1, 0.1)])


@pytest.mark.parametrize(("positives", "rows"), [(0, 0), (0, 10), (10, 10)])
def test_a_smoothed_share_is_never_0_or_1(positives, rows):
    share = smoothed_share(positives, rows)
    assert 0 < share < 1
    assert math.isfinite(constant_cross_entropy(positives / max(rows, 1), share))


def test_a_smoothed_share_approaches_the_share_of_many_rows():
    assert smoothed_share(2_000_000, 10_000_000) == pytest.approx(0.2, abs=1e-7)

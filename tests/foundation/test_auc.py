"""The area under the ROC curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.foundation.auc import auc_from_rank_sum, exact_auc


def pairwise_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    return wins.mean()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=50))
def test_exact_auc_equals_the_share_of_correctly_ranked_pairs(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(labels.tolist())) < 2:
        assert math.isnan(exact_auc(labels, scores))
    else:
        assert exact_auc(labels, scores) == pytest.approx(pairwise_auc(labels, scores), abs=1e-12)


def test_exact_auc_depends_on_the_order_of_the_scores_only():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 100), rng.normal(size=100)
    assert exact_auc(labels, np.exp(3 * scores)) == exact_auc(labels, scores)
    assert exact_auc(labels, -scores) == pytest.approx(1 - exact_auc(labels, scores))


def test_a_score_that_is_nan_makes_the_auc_nan():
    assert math.isnan(exact_auc(np.array([0, 1]), np.array([0.1, np.nan])))


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.5], r"must have the same shape \[n\], got \(2,\) and \(1,\)"),
        ([[0, 1]], [[0.5, 0.1]], r"must have the same shape \[n\]"),
        ([0, 0.5], [0.1, 0.2], "labels must be 0 or 1, got 0.5; leave out the rows without a label"),
        ([0, np.nan], [0.1, 0.2], "labels must be 0 or 1, got nan"),
    ],
)
def test_wrong_arguments_are_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        exact_auc(np.array(labels), np.array(scores))


def test_the_rank_sum_of_a_perfect_ranking_gives_1_and_of_a_reversed_one_0():
    # Two negatives and three positives: the positives have ranks 3, 4, 5, or 1, 2, 3.
    assert auc_from_rank_sum(12.0, 3.0, 2.0) == 1.0
    assert auc_from_rank_sum(6.0, 3.0, 2.0) == 0.0

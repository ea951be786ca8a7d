"""The area under the ROC curve (AUC): the share of positive-negative pairs that the scores rank correctly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def auc_from_rank_sum(rank_sum: Any, positives: Any, negatives: Any) -> Any:
    """Computes the AUC from the Mann-Whitney statistic.

    ``(rank_sum - P (P + 1) / 2) / (P N)``. In float64 the result is exact up to the division for fewer than 10^7 rows.
    Works on numbers, arrays and tensors alike.

    Reference: Mann and Whitney, *On a Test of Whether one of Two Random Variables is Stochastically Larger than the
      Other*, 1947.

    Args:
      rank_sum: Sum of the positives' ranks among all rows. Ranks start at 1 for the smallest score. Equal scores share
        their mean rank.
      positives: P, the number of positives.
      negatives: N, the number of negatives.

    Returns:
      A value from 0 to 1. Without both classes the result is 0 / 0.
    """
    return (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)


def exact_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Computes the AUC of some rows exactly, in O(n log n).

    Args:
      labels: 0 or 1, ``[n]``.
      scores: Any numbers, ``[n]``; only their order counts. Ties count half.

    Returns:
      A value from 0 to 1; NaN if a class is missing or a score is NaN.

    Raises:
      ValueError: If the shapes differ, or a label is neither 0 nor 1.

    Example:
    >>> exact_auc(np.array([0, 1, 1]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"labels and scores must have the same shape [n], got {labels.shape} and {scores.shape}")
    positive = labels == 1
    if not np.all(positive | (labels == 0)):
        wrong = labels[~(positive | (labels == 0))][0]
        raise ValueError(f"labels must be 0 or 1, got {wrong}; leave out the rows without a label")
    positives = int(positive.sum())
    negatives = len(labels) - positives
    if not positives or not negatives or np.isnan(scores).any():
        return float("nan")
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return float(auc_from_rank_sum(mean_ranks[group][positive].sum(), positives, negatives))


def auc_from_counts(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Computes the AUC of rows whose scores have few distinct values.

    Args:
      positives: Number of positives with each score, in ascending order of the scores, ``[K]``.
      negatives: Number of negatives with each score, ``[K]``.

    Returns:
      A value from 0 to 1; NaN if a class is missing.

    Example:
    >>> auc_from_counts(np.array([1, 1]), np.array([1, 0]))
    0.75
    """
    pairs = positives.sum() * negatives.sum()
    smaller = np.cumsum(negatives) - negatives
    return float((positives * (smaller + negatives / 2.0)).sum() / pairs) if pairs else float("nan")


def auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Estimates the standard error of an AUC.

    Reference: Hanley and McNeil, *The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve*,
      1982.

    Args:
      auc: The AUC.
      positives: Number of positives, at least 1.
      negatives: Number of negatives, at least 1.

    Example:
    >>> round(auc_standard_error(0.9, 20, 1000), 3), auc_standard_error(1.0, 20, 1000)
    (0.046, 0.0)
    """
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (two_positives - auc**2) + (negatives - 1) * (two_negatives - auc**2)
    ) / (positives * negatives)
    return math.sqrt(max(variance, 0.0))

"""How well one feature alone orders the labels of a task.

Numbers are judged by their order, and, like ids, by the mean label of each value or range of values. These means are
computed on one half of the rows and judged on the other half.

Shapes: R rows, K distinct values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....foundation.auc import auc_from_counts
from .feature_codes import FeatureCodes

_RANGES_OF_NUMBERS = 64
# The mean label of a value that is as frequent as this is halfway between the value's own mean and the mean of all rows.
_PRIOR_ROWS = 1.0


class Auc(NamedTuple):
    """An AUC and the number of rows of each class from which it was computed."""

    value: float
    positives: int
    negatives: int


def compute_best_auc(codes: FeatureCodes, labels: np.ndarray, half: np.ndarray, min_class_rows: int) -> Auc:
    """Returns the larger AUC of the feature's order and of its values' mean labels.

    Args:
      codes: The feature, ``[R]`` or ``[R, W]``.
      labels: 0 or 1, ``[R]``.
      half: Which rows belong to the first half, bool ``[R]``.
      min_class_rows: The order counts only if this many rows of each class have a value.
    """
    positives = int(labels.sum())
    values = []
    for groups in _group_by_mean_label(codes, labels, half):
        if 0 < groups.sums.sum() < groups.counts.sum():
            values.append(auc_from_counts(groups.sums, groups.counts - groups.sums))
    best = Auc(float(np.mean(values)) if values else 0.5, positives, len(labels) - positives)
    if codes.is_ordered:
        order = _sum_known(codes, labels)
        positives, negatives = int(order.sums.sum()), int((order.counts - order.sums).sum())
        if min(positives, negatives) >= min_class_rows:
            value = auc_from_counts(order.sums, order.counts - order.sums)
            best = max(best, Auc(max(value, 1 - value), positives, negatives))
    return best


def compute_best_correlation(codes: FeatureCodes, labels: np.ndarray, half: np.ndarray) -> float:
    """Returns the larger absolute rank correlation of the feature's order and of its values' mean labels; see :func:`compute_best_auc`."""
    ranks = _rank(labels)
    parts = zip(_group_by_mean_label(codes, ranks, half), (half, ~half), strict=True)
    best = float(np.mean([abs(_correlate(groups, ranks[part])) for groups, part in parts]))
    if codes.is_ordered:
        is_known = codes.codes >= 0
        # A few rows cannot show more than a correlation by chance.
        if is_known.sum() >= max(100, 0.01 * len(labels)):
            known_ranks = ranks if is_known.all() else _rank(labels[is_known])
            all_ranks = np.zeros(len(labels))
            all_ranks[is_known] = known_ranks
            best = max(best, abs(_correlate(_sum_known(codes, all_ranks), known_ranks)))
    return best


class _Groups(NamedTuple):
    """Rows with equal scores, in ascending order of the scores: the sum of their labels and their number, ``[K]``."""

    sums: np.ndarray
    counts: np.ndarray


def _group_by_mean_label(codes: FeatureCodes, labels: np.ndarray, half: np.ndarray) -> list[_Groups]:
    """Scores each value by its mean label in one half of the rows, and groups the rows of the other half by their scores."""
    values, num_values = _group_values(codes)
    if values.ndim == 2:
        return [_group_bags(values, num_values, labels, part) for part in (half, ~half)]
    sums = np.bincount(values, labels, num_values)
    counts = np.bincount(values, minlength=num_values)
    half_sums = np.bincount(values[half], labels[half], num_values)
    half_counts = np.bincount(values[half], minlength=num_values)
    parts = ((half_sums, half_counts), (sums - half_sums, counts - half_counts))
    grouped = []
    for (judged_sums, judged_counts), (learned_sums, learned_counts) in (parts, parts[::-1]):
        means = _smooth_means(learned_sums, learned_counts)
        grouped.append(_merge_equal(means, judged_sums, judged_counts))
    return grouped


def _group_bags(values: np.ndarray, num_values: int, labels: np.ndarray, judged: np.ndarray) -> _Groups:
    """Scores each bag by the average over its values; see :func:`_group_by_mean_label`."""
    learned = values[~judged]
    learned_labels = np.repeat(labels[~judged], learned.shape[1])
    sums = np.bincount(learned.reshape(-1), learned_labels, num_values)
    means = _smooth_means(sums, np.bincount(learned.reshape(-1), minlength=num_values))
    scores = _average_bag(means[values[judged]], values[judged] < num_values - 1, means[-1])
    return _merge_equal(scores, labels[judged], np.ones(len(scores)))


def _smooth_means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    mean = sums.sum() / max(counts.sum(), 1)
    return (sums + _PRIOR_ROWS * mean) / (counts + _PRIOR_ROWS)


def _merge_equal(scores: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> _Groups:
    distinct, places = np.unique(scores, return_inverse=True)
    return _Groups(np.bincount(places, sums, len(distinct)), np.bincount(places, counts, len(distinct)))


def _sum_known(codes: FeatureCodes, labels: np.ndarray) -> _Groups:
    """Groups the rows with a number by that number."""
    is_known = codes.codes >= 0
    known = codes.codes[is_known]
    return _Groups(np.bincount(known, labels[is_known], codes.num_codes), np.bincount(known, minlength=codes.num_codes))


def _average_bag(means: np.ndarray, is_present: np.ndarray, of_empty: float) -> np.ndarray:
    """Returns the average over the values of each bag, ``[R]``; ``of_empty`` for a bag without values."""
    counts = is_present.sum(axis=1)
    sums = np.where(is_present, means, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), of_empty)


def _group_values(codes: FeatureCodes) -> tuple[np.ndarray, int]:
    """Returns codes from 0 with missing values as the last code, and their number. Many numbers become ranges of equal size."""
    values, num_values = codes.codes, codes.num_codes
    if codes.is_ordered and num_values > _RANGES_OF_NUMBERS:
        counts = np.bincount(values[values >= 0], minlength=num_values)
        starts = np.cumsum(counts) - counts
        ranges = starts * _RANGES_OF_NUMBERS // max(int(counts.sum()), 1)
        values, num_values = np.where(values >= 0, ranges[values], -1), _RANGES_OF_NUMBERS
    return np.where(values >= 0, values, num_values), num_values + 1


def _rank(values: np.ndarray) -> np.ndarray:
    """Returns the rank of each value, ``[R]``; equal values share their mean rank."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[groups]


def _correlate(groups: _Groups, ranks: np.ndarray) -> float:
    """Returns the correlation of the groups' ranks and the ranks of the labels, whose sums the groups hold."""
    counts = groups.counts
    group_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rows = max(counts.sum(), 1)
    group_ranks = group_ranks - (group_ranks * counts).sum() / rows
    centered = ranks - ranks.mean() if len(ranks) else ranks
    scale = np.sqrt((group_ranks**2 * counts).sum() * (centered**2).sum())
    return float((group_ranks * groups.sums).sum() / scale) if scale > 0 else 0.0

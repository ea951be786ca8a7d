"""The best that any ranker can reach on a day, where the source knows the truth."""

from __future__ import annotations

import numpy as np

from .source import Columns, Source


def ceiling(source: Source, day: int, rows: int = 0) -> dict[str, float] | None:
    """The quality of the expected values, which no ranker beats but by luck.

    Args:
      source: The log.
      day: The day, by its position.
      rows: How many rows, from the day's first; 0 for all, and all where the day has fewer.

    Returns:
      ``auc/<task>`` for each binary task and ``rmse/<task>`` for each regression task, over the rows that have a label;
      NaN where nothing can be said (no labels; one class only). None when the source does not know what to expect.

    Raises:
      ValueError: When ``rows`` is below 0.
    """
    if rows < 0:
        raise ValueError(f"rows must be 0 (all) or more, got {rows}")
    labels, expected = [], []
    left = rows or sum(source.block_rows(day))
    for index, size in enumerate(source.block_rows(day)):
        if left <= 0:
            break
        truth = source.expected(day, index)
        if truth is None:
            return None
        columns = source.block(day, index)
        expected.append({task.name: truth[task.name][:left] for task in source.schema.tasks})
        labels.append({task.name: columns[task.label_column][:left] for task in source.schema.tasks})
        left -= size
    measured = {}
    for task in source.schema.tasks:
        label, value = _joined(labels, task.name), _joined(expected, task.name)
        there = ~np.isnan(label)
        label, value = label[there], value[there]
        if task.kind == "binary":
            measured[f"auc/{task.name}"] = exact_auc(label, value)
        else:
            error = np.square(value - label)
            measured[f"rmse/{task.name}"] = float(np.sqrt(error.mean())) if len(error) else float("nan")
    return measured


def exact_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of a positive and a negative row that the scores put in order; a tie counts half.

    Computed exactly, from average ranks, in O(n log n).

    Args:
      labels: 0 or 1, ``[n]``.
      scores: Any numbers, ``[n]``; only their order counts.

    Returns:
      A number from 0 to 1; NaN when only one class is there, or when a score is NaN and so has no rank.

    Raises:
      ValueError: When the shapes differ or a label is neither 0 nor 1.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            f"labels and scores must have one and the same shape [n], got {labels.shape} and {scores.shape}"
        )
    positive = labels == 1
    if not np.all(positive | (labels == 0)):
        wrong = labels[~(positive | (labels == 0))][0]
        raise ValueError(f"labels must be 0 or 1, got {wrong}; leave out rows without a label first")
    positives = int(positive.sum())
    negatives = len(labels) - positives
    if not positives or not negatives or np.isnan(scores).any():
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(counts) - (counts - 1) / 2
    above = average_rank[place[positive]].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def _joined(parts: list[Columns], name: str) -> np.ndarray:
    """One column of all blocks; float64, so that a sum of squares over a day keeps its digits."""
    return np.concatenate([part[name] for part in parts]).astype(np.float64)

"""The best that any ranker can reach on a day, where the source knows the truth."""

from __future__ import annotations

import numpy as np

from ...foundation.auc import exact_auc
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


def _joined(parts: list[Columns], name: str) -> np.ndarray:
    """One column of all blocks; float64, so that a sum of squares over a day keeps its digits."""
    return np.concatenate([part[name] for part in parts]).astype(np.float64)

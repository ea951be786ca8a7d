"""The best metrics that a ranker can reach on a day, for a source that knows the true expectations."""

from __future__ import annotations

import numpy as np

from ...foundation.auc import exact_auc
from ...foundation.metric_key import MetricKey
from .columns import Columns
from .source import Source


def compute_ceiling(source: Source, day: int, rows: int = 0) -> dict[str, float] | None:
    """Computes the metrics of the expected labels. A ranker exceeds them only by chance.

    Args:
      source: The log.
      day: Position of the day in ``source.days``.
      rows: Number of rows, from the first row of the day; 0 for all. A day with fewer rows is used completely.

    Returns:
      ``auc/<task>`` for each binary task and ``rmse/<task>`` for each regression task, over the rows with a label. A
      metric is NaN if no row has a label. An AUC is also NaN if all labels are equal. The result is None if the source
      does not know the expected labels.

    Raises:
      ValueError: If ``rows`` is negative.
    """
    if rows < 0:
        raise ValueError(f"rows must be 0 (all) or more, got {rows}")
    labels, expectations = [], []
    remaining = rows or sum(source.block_rows(day))
    for index, size in enumerate(source.block_rows(day)):
        if remaining <= 0:
            break
        expected = source.expected(day, index)
        if expected is None:
            return None
        columns = source.block(day, index)
        expectations.append({task.name: expected[task.name][:remaining] for task in source.schema.tasks})
        labels.append({task.name: columns[task.label_column][:remaining] for task in source.schema.tasks})
        remaining -= size
    metrics = {}
    for task in source.schema.tasks:
        label, prediction = _concatenate(labels, task.name), _concatenate(expectations, task.name)
        labeled = ~np.isnan(label)
        label, prediction = label[labeled], prediction[labeled]
        if task.kind == "binary":
            metrics[str(MetricKey("auc", task.name))] = exact_auc(label, prediction)
        else:
            squares = np.square(prediction - label)
            rmse = float(np.sqrt(squares.mean())) if len(squares) else float("nan")
            metrics[str(MetricKey("rmse", task.name))] = rmse
    return metrics


def _concatenate(blocks: list[Columns], name: str) -> np.ndarray:
    """Returns one column of all blocks as float64, so that sums of squares over a day keep their precision."""
    return np.concatenate([block[name] for block in blocks]).astype(np.float64)

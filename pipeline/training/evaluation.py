"""Evaluates a ranker on the days of a log."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ...models.ranker import MultitaskRanker
from ..config.settings import Config
from ..data.batching import WindowService, count_steps, make_evaluation_batches
from ..data.ceiling import compute_ceiling
from ..data.source import Source
from .distribution import distribute_batches
from .publisher import drop_undefined


def evaluate_day(
    config: Config, source: Source, ranker: MultitaskRanker, day: int, service: WindowService | None = None
) -> dict[str, float]:
    """Computes the ranker's metrics on one day.

    Each row counts once. For a simulated log, the keys ``ceiling/…`` hold the best values that any ranker can reach.

    Args:
      config: The configuration: ``data.batch_size`` and ``training.evaluation_rows``.
      source: The log.
      ranker: The compiled ranker.
      day: Position of the day in ``source.days``.
      service: Reads the log on other machines. If None, this process reads the log.

    Returns:
      The metrics by key, and ``rows``, the number of rows that were evaluated.
    """
    rows = sum(source.block_rows(day))
    rows = min(config.training.evaluation_rows or rows, rows)
    batches = functools.partial(
        make_evaluation_batches, source, day, batch_size=config.data.batch_size, rows=rows, service=service
    )
    dataset = distribute_batches(ranker.distribute_strategy, batches)
    logs = ranker.evaluate(dataset, steps=count_steps(rows, config.data.batch_size), verbose=0, return_dict=True)
    best = compute_ceiling(source, day, rows) or {}
    metrics = drop_undefined({key: float(value) for key, value in logs.items()})
    return {"rows": rows} | metrics | {f"ceiling/{key}": value for key, value in best.items()}


def average_over_rows(evaluations: Sequence[dict[str, float]]) -> dict[str, float]:
    """Averages the metrics of several days, each weighted by its ``rows``.

    If a metric is missing on some days, its average covers the other days.

    Example:
    >>> average_over_rows([{"rows": 1, "loss": 4.0}, {"rows": 3, "loss": 2.0, "auc/click": 0.75}])
    {'auc/click': 0.75, 'loss': 2.5}
    """
    keys = {key for evaluation in evaluations for key in evaluation} - {"rows"}
    averages = {}
    for key in sorted(keys):
        values = [(evaluation[key], evaluation["rows"]) for evaluation in evaluations if key in evaluation]
        averages[key] = sum(value * rows for value, rows in values) / sum(rows for _, rows in values)
    return averages

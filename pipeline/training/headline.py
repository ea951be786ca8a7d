"""The lines that a run prints before its first step."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from ...foundation.formatting import pluralize
from ...models.ranker import MultitaskRanker
from ..config.settings import Config
from ..data import Source
from ..data.checks import CheckedDay
from .schedule import TrainingSchedule

_MAX_ANOMALIES = 10


def format_headline(
    config: Config, source: Source, ranker: MultitaskRanker, schedule: TrainingSchedule, step: int
) -> list[str]:
    """Formats a summary of the log, the ranker and the start of the run.

    Args:
      config: The configuration.
      source: The log.
      ranker: The ranker.
      schedule: The order of the days.
      step: The step from which the run continues; 0 for a new run.

    Returns:
      Three lines, one more for a warm-up that does not end, and one more for a run that is resumed.
    """
    sizes = {True: 0, False: 0}
    for variable in ranker.trainable_variables:
        sizes["embeddings" in variable.name] += int(tf.size(variable))
    replicas = ranker.distribute_strategy.num_replicas_in_sync
    lines = [
        f"Log: {pluralize(len(source.days), 'day')} ({len(schedule.holdout_days)} held out), "
        f"{pluralize(len(source.schema.features), 'feature')}, {pluralize(len(source.schema.tasks), 'task')}",
        format_days(source, schedule),
        f"Ranker: {sizes[False]:,} weights and {sizes[True]:,} embedding weights; rule {config.optimizer.rule}, "
        f"learning rate {config.optimizer.learning_rate:g}, {pluralize(replicas, 'replica')}",
    ]
    warmup, total = config.optimizer.warmup_steps, schedule.total_steps
    if warmup > total:
        lines.append(
            f"Warning: the warm-up of {warmup:,} steps is longer than the run of {pluralize(total, 'step')}, so the learning "
            "rate never reaches its value; set a smaller --config.optimizer.warmup_steps"
        )
    return [*lines, f"Resuming at step {step:,} of {schedule.total_steps:,}"] if step else lines


def format_days(source: Source, schedule: TrainingSchedule) -> str:
    """Formats which days are for training and which are held out, with the number of rows.

    The order of the days decides what the run learns from and what it is judged by, so a person should see it first.
    """
    uses = {"trains on": schedule.train_days, "holds out": schedule.holdout_days}
    return "Days: " + "; ".join(f"{use} {_format_range(source, days)}" for use, days in uses.items())


def _format_range(source: Source, days: Sequence[int]) -> str:
    if not days:
        return "none"
    names = list(dict.fromkeys([source.days[days[0]], source.days[days[-1]]]))
    rows = pluralize(sum(sum(source.block_rows(day)) for day in days), "row")
    return f"{' … '.join(names)} ({pluralize(len(days), 'day')}, {rows})"


def format_anomalies(days: Sequence[CheckedDay]) -> list[str]:
    """Formats the anomalies of the log as one line each, at most ten, and counts the others."""
    lines = [line for day in days for line in day.anomaly_lines()]
    if len(lines) > _MAX_ANOMALIES:
        lines[_MAX_ANOMALIES:] = [f"{len(lines) - _MAX_ANOMALIES:,} more anomalies of the log are listed in log.json"]
    return lines

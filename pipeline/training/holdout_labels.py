"""Which tasks have enough labels on the held-out days to judge the final model by them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from ...foundation.formatting import pluralize
from ...foundation.metric_key import MetricKey
from ...models.schema import Task

# The AUC of random scores over ten positives or negatives deviates from 0.5 by 0.09.
_MIN_ROWS_OF_A_CLASS = 10
_MIN_ROWS = 30


def find_unjudged_tasks(tasks: Sequence[Task], metrics: Mapping[str, float]) -> dict[str, str]:
    """Returns the tasks that the held-out days cannot judge, each with the reason.

    A loss that is not finite is judged, however few labels there are.

    Args:
      tasks: The tasks.
      metrics: The metrics on the held-out days. A task without labels has none.

    Example:
    >>> tasks = [Task("click", "binary"), Task("like", "binary"), Task("minutes", "regression")]
    >>> find_unjudged_tasks(tasks, {"examples/click": 600.0, "label_mean/click": 0.0, "loss/click": 0.1})
    {'click': 'all labels are 0', 'like': 'no labels', 'minutes': 'no labels'}
    """
    unjudged = {}
    for task in tasks:
        if math.isfinite(metrics.get(f"loss/{task.name}", 0.0)) and (reason := _find_reason(task, metrics)):
            unjudged[task.name] = reason
    return unjudged


def drop_tasks(metrics: Mapping[str, float], tasks: Collection[str]) -> dict[str, float]:
    """Returns the metrics without those of some tasks. Without the loss of any task, the total is dropped as well."""
    kept = {key: value for key, value in metrics.items() if MetricKey.parse(key).subject not in tasks}
    has_task = any(key.startswith("loss/") for key in kept)
    return {key: value for key, value in kept.items() if has_task or key != "loss" or not math.isfinite(value)}


def format_unjudged_tasks(unjudged: Mapping[str, str], tasks: Sequence[Task], days: Sequence[str]) -> str:
    """Formats the tasks that the held-out days cannot judge as one line; empty if they judge all.

    Args:
      unjudged: See :func:`find_unjudged_tasks`.
      tasks: All tasks.
      days: Names of the held-out days.
    """
    if not unjudged:
        return ""
    reasons = ", ".join(f"{task}: {reason}" for task, reason in unjudged.items())
    text = f"On the held-out {'day' if len(days) == 1 else 'days'} ({', '.join(days)}), these tasks are not judged: {reasons}."
    if len(unjudged) < len(tasks):
        return text
    return f"{text} No held-out label judges the model; only the training does."


def _find_reason(task: Task, metrics: Mapping[str, float]) -> str:
    rows = metrics.get(f"examples/{task.name}", 0.0)
    if not rows:
        return "no labels"
    if task.kind == "regression":
        if rows < _MIN_ROWS:
            return f"only {pluralize(round(rows), 'label')}"
        return "" if metrics.get(f"rmse_of_mean/{task.name}", 1.0) > 0 else "all labels are equal"
    positives = rows * metrics.get(f"label_mean/{task.name}", 0.5)
    fewer = min(positives, rows - positives)
    if fewer >= _MIN_ROWS_OF_A_CLASS:
        return ""
    if round(fewer) == 0:
        return f"all labels are {1 if positives else 0}"
    return f"only {pluralize(round(fewer), 'positive' if positives == fewer else 'negative')}"

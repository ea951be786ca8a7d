"""The score of each task: its result, relative to chance and the ceiling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from .numbers import is_finite, is_number, to_float

Line = Mapping[str, Any]
"""A line of ``metrics/eval.jsonl``."""


@dataclasses.dataclass(frozen=True)
class TaskScore:
    """The result of one task on the days that judge the ranker.

    Missing values are None. Values that are not finite stay unchanged.

    Attributes:
      task: The task's name.
      kind: ``binary`` or ``regression``.
      weight: The task's factor in the loss.
      result: AUC of a binary task (higher is better), RMSE of a regression (lower is better).
      chance: The same measure for a constant prediction: an AUC of 0.5, or the RMSE of predicting the mean label.
      ceiling: The same measure for the best possible ranker; known only for a simulated log.
    """

    task: str
    kind: str
    weight: float | None
    result: float | None
    chance: float | None
    ceiling: float | None

    @property
    def measure(self) -> Literal["AUC", "RMSE"]:
        """The measure of :attr:`result`."""
        return "RMSE" if self.kind == "regression" else "AUC"

    @property
    def gap_closed(self) -> float | None:
        """Closed share of the gap between chance and the ceiling: 0 at chance, 1 at the ceiling, negative below chance."""
        if not (is_finite(self.result) and is_finite(self.chance) and is_finite(self.ceiling)):
            return None
        gap = self.ceiling - self.chance
        return (self.result - self.chance) / gap if gap else None


def compute_scores(tasks: Sequence[Mapping[str, Any]], evaluation: Sequence[Line]) -> list[TaskScore]:
    """Computes the score of each task, in the order of ``tasks``, from :func:`select_judging_lines`."""
    lines = select_judging_lines(evaluation)
    scores = []
    for task in tasks:
        name, kind = str(task.get("name", "")), str(task.get("kind", "binary"))
        metric = "rmse" if kind == "regression" else "auc"
        scores.append(
            TaskScore(
                task=name,
                kind=kind,
                weight=task.get("weight"),
                result=compute_weighted_mean(lines, f"{metric}/{name}"),
                chance=compute_weighted_mean(lines, f"rmse_of_mean/{name}") if kind == "regression" else 0.5,
                ceiling=compute_weighted_mean(lines, f"ceiling/{metric}/{name}"),
            )
        )
    return scores


def select_judging_lines(evaluation: Sequence[Line]) -> list[Line]:
    """Selects the evaluations of the held-out days, which judge the ranker.

    If a resumed run evaluated a day twice, the later line counts. Without held-out days, returns the last evaluation of
    a day before training on it, if any.
    """
    held_out = [line for line in evaluation if line.get("kind") == "holdout"]
    if not held_out:
        return [line for line in evaluation if line.get("kind") == "progressive"][-1:]
    # Treat each line without a day as a separate day.
    return list({line.get("day", f"line {index}"): line for index, line in enumerate(held_out)}.values())


def compute_weighted_mean(lines: Iterable[Line], key: str) -> float | None:
    """Averages a metric over the lines that have it, weighted by ``rows``.

    All lines weigh the same if the rows of one of them are unknown.

    Returns:
      The mean, or None if no line has the metric.
    """
    lines = [line for line in lines if is_number(line.get(key))]
    if not lines:
        return None
    rows = [to_float(line["rows"]) if is_finite(line.get("rows")) else -1.0 for line in lines]
    if min(rows) < 0 or not sum(rows):
        rows = [1.0] * len(lines)
    # Leave out a day without rows, because its metrics may be NaN.
    return sum(to_float(line[key]) * (weight / sum(rows)) for line, weight in zip(lines, rows, strict=True) if weight)

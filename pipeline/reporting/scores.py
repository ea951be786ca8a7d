"""How good the ranker is, task by task: what it reached, between chance and the ceiling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .series import is_finite, is_number, number

Line = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Score:
    """One task on the days that judge the ranker. A value nobody recorded is None; one that is not finite stays so.

    Attributes:
      task: The task's name.
      kind: ``binary`` or ``regression``.
      weight: The task's factor in the loss, or None.
      reached: AUC of a binary task (higher is better), RMSE of a regression (lower is better).
      chance: The same for a ranker that knows nothing: 0.5, or the RMSE of predicting the mean of the labels.
      ceiling: The same for the best possible ranker; known for a simulated log only.
    """

    task: str
    kind: str
    weight: float | None
    reached: float | None
    chance: float | None
    ceiling: float | None

    @property
    def measure(self) -> str:
        """``AUC`` or ``RMSE``."""
        return "RMSE" if self.kind == "regression" else "AUC"

    @property
    def share(self) -> float | None:
        """The share of the way from chance to the ceiling: 0 at chance, 1 at the ceiling, below 0 when worse than chance."""
        if not (is_finite(self.reached) and is_finite(self.chance) and is_finite(self.ceiling)):
            return None
        way = self.ceiling - self.chance
        return (self.reached - self.chance) / way if way else None


def judging_lines(evaluation: Sequence[Line]) -> list[Line]:
    """The lines of the days that were never trained on; of a day evaluated twice, as after a resume, the later one.

    Without such lines, the last line of a day evaluated before it was trained on; without those, none.
    """
    held_out = [line for line in evaluation if line.get("kind") == "holdout"]
    if not held_out:
        return [line for line in evaluation if line.get("kind") == "progressive"][-1:]
    # A line without a day stands for itself.
    return list({line.get("day", f"line {place}"): line for place, line in enumerate(held_out)}.values())


def weighted_mean(lines: Iterable[Line], key: str) -> float | None:
    """The mean of ``key`` over the lines that have it, weighted by their ``rows``; None when no line has it.

    The lines weigh equally where the rows of one of them are unknown.
    """
    lines = [line for line in lines if is_number(line.get(key))]
    if not lines:
        return None
    rows = [number(line["rows"]) if is_finite(line.get("rows")) else -1.0 for line in lines]
    if min(rows) < 0 or not sum(rows):
        rows = [1.0] * len(lines)
    # A day without rows says nothing, and its metrics may well be NaN.
    return sum(number(line[key]) * (weight / sum(rows)) for line, weight in zip(lines, rows, strict=True) if weight)


def scores(tasks: Sequence[Mapping[str, Any]], evaluation: Sequence[Line]) -> list[Score]:
    """One :class:`Score` a task, in the order of ``tasks``, from the :func:`judging_lines` of ``evaluation``."""
    lines = judging_lines(evaluation)
    found = []
    for task in tasks:
        name, kind = str(task.get("name", "")), str(task.get("kind", "binary"))
        metric = "rmse" if kind == "regression" else "auc"
        found.append(
            Score(
                task=name,
                kind=kind,
                weight=task.get("weight"),
                reached=weighted_mean(lines, f"{metric}/{name}"),
                chance=weighted_mean(lines, f"rmse_of_mean/{name}") if kind == "regression" else 0.5,
                ceiling=weighted_mean(lines, f"ceiling/{metric}/{name}"),
            )
        )
    return found

"""From a series of metrics to events and a verdict; pure: no clock, no file, no framework.

A task is *out of range* in a publication when one of these holds, none of which depends on what the loss used to be, so
that a shift of the labels is no alarm by itself:

* its loss is not finite;
* its loss is far above that of a constant prediction (cross entropy against the entropy of the labels' mean; for a
  regression the RMSE against the labels' deviation);
* its AUC, once clearly above chance, has fallen back to chance.

Out of range for less than ``patience`` publications and back again is a *micro-divergence*; for longer, a *full
divergence*, until it comes back, if it ever does.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

# What nothing that comes after can mend.
_FINAL = ("chance", "nonfinite")


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
      step: The training step of the publication in which it was seen.
      kind: ``out_of_range`` (it began), ``micro_divergence`` (it came back), ``full_divergence`` (it stayed),
        ``recovery`` (it came back after a full divergence), ``chance`` (the final model ranks like a coin) or ``nonfinite``
        (training could not go on).
      task: The task, or "" for the whole model.
      evidence: What was measured, in words.
    """

    step: int
    kind: str
    task: str
    evidence: str


@dataclasses.dataclass
class _Task:
    best_auc: float = 0.5
    since: int | None = None
    publications: int = 0
    reason: str = ""
    full: bool = False


class Detector:
    """Watches the published metrics of a run.

    Args:
      patience: Publications out of range after which a divergence is a full one.
      loss_ratio: How many times the loss of a constant prediction is out of range (the RMSE: its square root).
      collapse: A task's AUC has collapsed when less than this share of its best lead over chance is left.

    The keys are the project's: ``loss``, ``loss/<task>``, ``auc/<task>``, ``rmse/<task>``, ``rmse_of_mean/<task>``,
    ``label_mean/<task>``, ``examples/<task>``. What a publication lacks is not judged.

    Raises:
      ValueError: When an argument is out of its range.
    """

    def __init__(self, *, patience: int = 3, loss_ratio: float = 2.0, collapse: float = 0.25):
        if patience < 1:
            raise ValueError(f"patience must be 1 or more, got {patience}")
        if not loss_ratio > 1:
            raise ValueError(f"loss_ratio must be above 1, got {loss_ratio}")
        if not 0 < collapse < 1:
            raise ValueError(f"collapse must be between 0 and 1, got {collapse}")
        self._patience = patience
        self._loss_ratio = loss_ratio
        self._collapse = collapse
        self._tasks: dict[str, _Task] = {}
        self.events: list[Event] = []

    @property
    def verdict(self) -> str:
        """``full`` while a task is fully diverged, else ``micro`` if anything left its range, else ``healthy``."""
        if any(task.full for task in self._tasks.values()) or any(e.kind in _FINAL for e in self.events):
            return "full"
        return "micro" if self.events else "healthy"

    def observe(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Takes one publication; returns what it brought, which is kept in ``events`` as well."""
        new: list[Event] = []
        for name in _task_names(metrics):
            state = self._tasks.setdefault(name, _Task())
            reason = self._out_of_range(state, name, metrics)
            if reason:
                new += self._worse(state, step, name, reason)
            else:
                new += self._better(state, step, name)
                state.best_auc = max(state.best_auc, _solid_auc(name, metrics))
        self.events += new
        return new

    def judge(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model on data that it was not trained on.

        A task out of range here counts as fully diverged at once. A model of which no binary task ranks better than
        chance, and no regression beats the mean, has diverged too, even if it never did anything else.
        """
        new = []
        names = _task_names(metrics)
        for name in names:
            state = self._tasks.setdefault(name, _Task())
            reason = self._out_of_range(state, name, metrics)
            if reason and not state.full:
                state.full = True
                new.append(Event(step, "full_divergence", name, f"on held-out data {reason}"))
        if names and not new and all(_at_chance(name, metrics) for name in names):
            new.append(Event(step, "chance", "", "on held-out data no task is predicted better than by a constant"))
        self.events += new
        return new

    def declare_nonfinite(self, step: int, evidence: str) -> Event:
        """Takes note that training could not go on for numbers that are not finite: a full divergence."""
        event = Event(step, "nonfinite", "", evidence)
        self.events.append(event)
        return event

    def _worse(self, state: _Task, step: int, name: str, reason: str) -> list[Event]:
        new = []
        if state.since is None:
            state.since, state.publications, state.reason = step, 0, reason
            new.append(Event(step, "out_of_range", name, reason))
        state.publications += 1
        if state.publications >= self._patience and not state.full:
            state.full = True
            new.append(Event(step, "full_divergence", name, f"out of range since step {state.since}: {reason}"))
        return new

    def _better(self, state: _Task, step: int, name: str) -> list[Event]:
        if state.since is None and not state.full:
            return []
        kind = "recovery" if state.full else "micro_divergence"
        since = f"out of range from step {state.since} on" if state.since is not None else "diverged"
        state.since, state.full = None, False
        return [Event(step, kind, name, f"{since} ({state.reason}), back in range at step {step}")]

    def _out_of_range(self, state: _Task, name: str, metrics: Mapping[str, float]) -> str:
        loss = metrics[f"loss/{name}" if name else "loss"]
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        constant = _loss_of_constant(name, metrics)
        if constant and loss > self._loss_ratio * constant:
            return f"the loss is {loss:.4g}, a constant prediction has {constant:.4g}"
        auc, noise = metrics.get(f"auc/{name}"), _auc_noise(name, metrics)
        if auc is not None and state.best_auc - 0.5 > 6 * noise:
            left = auc - 0.5
            if left < max(self._collapse * (state.best_auc - 0.5), 2 * noise):
                return f"the AUC is {auc:.3f}, it was {state.best_auc:.3f}"
        return ""


def _task_names(metrics: Mapping[str, float]) -> list[str]:
    """The tasks by name; the whole model, called "", where no task is told apart."""
    tasks = [key.removeprefix("loss/") for key in metrics if key.startswith("loss/")]
    return tasks or ([""] if "loss" in metrics else [])


def _loss_of_constant(name: str, metrics: Mapping[str, float]) -> float | None:
    deviation = metrics.get(f"rmse_of_mean/{name}")
    if deviation is not None:
        return deviation**2
    share = metrics.get(f"label_mean/{name}")
    if share is None or not 0 < share < 1:
        return None
    return -share * math.log(share) - (1 - share) * math.log(1 - share)


def _auc_noise(name: str, metrics: Mapping[str, float]) -> float:
    """Standard deviation of the AUC of a coin over the publication's rows; 0.02 when the rows are not known."""
    examples, share = metrics.get(f"examples/{name}"), metrics.get(f"label_mean/{name}")
    if not examples or share is None or not 0 < share < 1:
        return 0.02
    positives, negatives = examples * share, examples * (1 - share)
    return math.sqrt((examples + 1) / (12 * positives * negatives))


def _solid_auc(name: str, metrics: Mapping[str, float]) -> float:
    auc = metrics.get(f"auc/{name}")
    return auc - 2 * _auc_noise(name, metrics) if auc is not None else 0.5


def _at_chance(name: str, metrics: Mapping[str, float]) -> bool:
    auc = metrics.get(f"auc/{name}")
    if auc is not None:
        return auc < 0.5 + 2 * _auc_noise(name, metrics)
    rmse, deviation = metrics.get(f"rmse/{name}"), metrics.get(f"rmse_of_mean/{name}")
    return rmse is not None and deviation is not None and rmse >= deviation

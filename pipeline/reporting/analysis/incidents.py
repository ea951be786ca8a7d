"""Groups a run's events into incidents, so that readers see simultaneous events of many tasks as one.

Each event concerns one task, so a single divergence can produce a dozen events. A task is *away* from its
``out_of_range`` or ``full_divergence`` event until its return (``micro_divergence`` or ``recovery``), a rollback (which
returns all tasks) or the end of the record. Any other event lasts for one step. Periods that overlap or are at most
:data:`MAX_GAP_STEPS` apart form one incident. Spikes are single steps and belong to no incident.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ....foundation.json_values import from_json_value
from .numbers import is_finite, is_number, to_float

MAX_GAP_STEPS = 32
"""An event at most this many steps after an incident is part of the incident."""

RETURN_KINDS = ("micro_divergence", "recovery")
"""Kinds of events that mark the return of a task to its range."""

Severity = Literal["full", "range", "rollback", "spike", "note"]
"""The severity of an event. ``range``: a task went out of range or came back; ``note``: no divergence by itself."""

_DEPARTURE_KINDS = ("out_of_range", "full_divergence")
_FULL_KINDS = ("full_divergence", "chance", "nonfinite")
# Old records, from before the monitor measured every step, use these names.
_LEGACY_KINDS = {"micro": "micro_divergence", "full": "full_divergence"}


@dataclasses.dataclass(frozen=True)
class RunEvent:
    """An event of ``divergence.json`` whose step is known.

    Attributes:
      step: The training step.
      kind: A :data:`~.run_terms.EventKind`, or another recorded text.
      task: The task; empty for the whole model.
      layer: The layer, or empty.
      evidence: The recorded evidence: a text, or plain values in old records.
      feature: The feature that shifted in this event or shortly before it; may be empty.
      values: The measurements by name; empty in old records.
    """

    step: float
    kind: str
    task: str = ""
    layer: str = ""
    evidence: Any = None
    feature: str = ""
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """The severity of the event."""
        if self.kind in _FULL_KINDS:
            return "full"
        if self.kind in ("out_of_range", *RETURN_KINDS):
            return "range"
        if self.kind == "rollback":
            return "rollback"
        return "spike" if self.kind == "spike" else "note"


@dataclasses.dataclass(frozen=True)
class Incident:
    """Events that happened close together.

    Attributes:
      events: The events by step, those of one step in the order recorded. Never empty.
      last_step: Step of the last event, or the last step of the record if a task never came back.
      unrecovered_tasks: The tasks that were still away at the end of the record.
    """

    events: tuple[RunEvent, ...]
    last_step: float
    unrecovered_tasks: tuple[str, ...] = ()

    @property
    def first_step(self) -> float:
        """Step of the first event."""
        return self.events[0].step

    @property
    def severity(self) -> Severity:
        """The highest severity of the events: ``full``, ``range``, ``rollback`` or ``note``."""
        severities = {event.severity for event in self.events}
        order: tuple[Severity, ...] = ("full", "range", "rollback", "note")
        return next(severity for severity in order if severity in severities)

    @property
    def is_divergence(self) -> bool:
        """Whether training diverged, even if only for a while."""
        return self.severity in ("full", "range")

    @property
    def first_divergence(self) -> RunEvent:
        """The first event of a divergence; only for an incident that :attr:`is_divergence`."""
        return next(event for event in self.events if event.severity in ("full", "range"))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that diverged, the earliest first; ``("",)`` if only the whole model is named."""
        tasks = dict.fromkeys(event.task for event in self.events if event.severity in ("full", "range"))
        return tuple(task for task in tasks if task) or tuple(tasks)

    def select(self, *kinds: str) -> list[RunEvent]:
        """Returns the events of some kinds."""
        return [event for event in self.events if event.kind in kinds]


@dataclasses.dataclass(frozen=True)
class Spike:
    """A loss of single steps far above the usual loss.

    Attributes:
      step: The step.
      task: The task; empty for the whole model.
      loss: The loss, infinite if it was not finite; None if unknown.
      usual: The usual loss; None if unknown.
      is_normalized: Whether both are normalized losses: divided by the loss of the best constant prediction.
      is_explained: Whether the labels of the batch explain the spike, because a constant prediction has a high loss
        too.
    """

    step: float
    task: str
    loss: float | None = None
    usual: float | None = None
    is_normalized: bool = False
    is_explained: bool = False

    @property
    def ratio(self) -> float:
        """The loss divided by the usual loss; 0 if the loss is unknown."""
        if self.loss is None:
            return 0.0
        return self.loss / self.usual if self.usual else self.loss


def read_events(events: Sequence[Mapping[str, Any]]) -> list[RunEvent]:
    """Reads the events with a known step, in recorded order."""
    run_events = []
    for event in events:
        step, kind = event.get("step"), str(event.get("kind") or "")
        if is_finite(step) and step >= 0:
            run_events.append(
                RunEvent(
                    step=to_float(step),
                    kind=_LEGACY_KINDS.get(kind, kind),
                    task=str(event.get("task") or ""),
                    layer=str(event.get("layer") or ""),
                    evidence=event.get("evidence"),
                    feature=str(event.get("feature") or ""),
                    values=_read_values(event.get("values")),
                )
            )
    return run_events


def read_spikes(events: Sequence[RunEvent]) -> list[Spike]:
    """Returns the spikes among the events."""
    return [_read_spike(event) for event in events if event.severity == "spike"]


def group_incidents(events: Sequence[RunEvent], end: float) -> list[Incident]:
    """Groups events into incidents, sorted by their first step.

    Args:
      events: In the order recorded. Spikes are skipped.
      end: The last step of the record.
    """
    episodes = _find_episodes([event for event in events if event.severity != "spike"], end)
    groups: list[list[_Episode]] = []
    group_end = 0.0
    for episode in sorted(episodes, key=lambda episode: episode.first_step):
        if groups and episode.first_step - group_end <= MAX_GAP_STEPS:
            groups[-1].append(episode)
            group_end = max(group_end, episode.last_step)
        else:
            groups.append([episode])
            group_end = episode.last_step
    return [_merge_episodes(group) for group in groups]


@dataclasses.dataclass
class _Episode:
    """The events of one task from leaving its range to its return, or a single event.

    ``indices`` are the positions of the events in the record.
    """

    events: list[RunEvent]
    indices: list[int]
    last_step: float
    is_unrecovered: bool = False

    @property
    def first_step(self) -> float:
        return min(event.step for event in self.events)

    def add(self, event: RunEvent, index: int) -> None:
        self.events.append(event)
        self.indices.append(index)
        self.last_step = max(self.last_step, event.step)


def _find_episodes(events: Sequence[RunEvent], end: float) -> list[_Episode]:
    episodes: list[_Episode] = []
    away: dict[str, _Episode] = {}
    for index, event in enumerate(events):
        if event.kind in (*_DEPARTURE_KINDS, *RETURN_KINDS) and event.task in away:
            away[event.task].add(event, index)
        else:
            episodes.append(_Episode([event], [index], event.step))
        if event.kind in _DEPARTURE_KINDS:
            away.setdefault(event.task, episodes[-1])
        elif event.kind in RETURN_KINDS:
            away.pop(event.task, None)
        elif event.kind == "rollback":
            for episode in away.values():
                episode.last_step = max(episode.last_step, event.step)
            away.clear()
    for episode in away.values():
        episode.is_unrecovered, episode.last_step = True, max(episode.last_step, end)
    return episodes


def _merge_episodes(group: Sequence[_Episode]) -> Incident:
    ordered = sorted(
        ((index, event) for episode in group for index, event in zip(episode.indices, episode.events, strict=True)),
        key=lambda pair: (pair[1].step, pair[0]),
    )
    unrecovered = tuple(dict.fromkeys(episode.events[0].task for episode in group if episode.is_unrecovered))
    return Incident(tuple(event for _, event in ordered), max(episode.last_step for episode in group), unrecovered)


def _read_spike(event: RunEvent) -> Spike:
    values = event.values
    is_explained = values.get("explained", 0.0) == 1.0
    if "loss" in values:
        return Spike(event.step, event.task, values["loss"], values.get("usual"), is_explained=is_explained)
    if "normalized_loss" in values:
        loss, usual = values["normalized_loss"], values.get("usual_normalized_loss")
        return Spike(event.step, event.task, loss, usual, is_normalized=True, is_explained=is_explained)
    # ``count`` is the number of steps whose loss was not finite.
    return Spike(event.step, event.task, math.inf if "count" in values else None, is_explained=is_explained)


def _read_values(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        return {}
    # JSON has no NaN and no infinity: a run writes them as strings.
    numbers = {str(name): from_json_value(value) for name, value in values.items()}
    return {name: to_float(value) for name, value in numbers.items() if is_number(value)}

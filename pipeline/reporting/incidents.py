"""From a run's list of events to incidents: what happened at one time to many tasks is one thing to a reader.

An event tells of one task, so that one divergence of a ranker comes as a dozen of them. Here a task is *away* from its
``out_of_range`` (or ``full_divergence``) to its return (``micro_divergence`` or ``recovery``), to a rollback, which brings
all tasks back, or to the end of the record; everything else lasts for the step at which it happened. Times that overlap, or
follow one another closely, are one incident. Spikes are single steps of their own and belong to none.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .series import is_finite, number

NEAR = 32
"""Steps after which what follows is still the same incident."""

RETURNS = ("micro_divergence", "recovery")
"""The kinds of events by which a task is back in range."""

# Runs of before every step was watched have shorter names for two of them.
_OLD_NAMES = {"micro": "micro_divergence", "full": "full_divergence"}
_LEAVES = ("out_of_range", "full_divergence")
_FULL = ("full_divergence", "chance", "nonfinite")
_SPIKE = re.compile(r"the loss is (\S+), usually (\S+)")


@dataclasses.dataclass(frozen=True)
class Happening:
    """One event with a known step.

    Attributes:
      step: The training step.
      kind: As in the record, with the names of old runs brought up to date.
      task: The task, or "" for the whole model.
      layer: The layer, or "".
      evidence: What was measured: words, or plain values in old runs.
      feature: The input that changed, or had changed shortly before; or "".
    """

    step: float
    kind: str
    task: str = ""
    layer: str = ""
    evidence: Any = None
    feature: str = ""

    @property
    def severity(self) -> str:
        """``full``, ``range`` (out of range, or back from there), ``rollback``, ``spike`` or ``note``."""
        if self.kind in _FULL:
            return "full"
        if self.kind in ("out_of_range", *RETURNS):
            return "range"
        return self.kind if self.kind in ("rollback", "spike") else "note"


@dataclasses.dataclass(frozen=True)
class Incident:
    """What happened at one time.

    Attributes:
      events: In the order of their steps; those of one step as recorded. Never empty.
      last: The last step of it: of its last event, or of the record where a task never came back.
      away: The tasks that had not come back when the record ends.
    """

    events: tuple[Happening, ...]
    last: float
    away: tuple[str, ...] = ()

    @property
    def first(self) -> float:
        """The step at which it began."""
        return self.events[0].step

    @property
    def severity(self) -> str:
        """The worst of its events': ``full``, ``range``, ``rollback`` or ``note``."""
        there = {event.severity for event in self.events}
        return next(severity for severity in ("full", "range", "rollback", "note") if severity in there)

    @property
    def serious(self) -> bool:
        """Whether the training diverged, be it for a while."""
        return self.severity in ("full", "range")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it befell, the first first; "" for the whole model where no task is named."""
        struck = dict.fromkeys(event.task for event in self.events if event.severity in ("full", "range"))
        return tuple(task for task in struck if task) or tuple(struck)

    def of(self, *kinds: str) -> list[Happening]:
        """Its events of some kinds."""
        return [event for event in self.events if event.kind in kinds]


@dataclasses.dataclass(frozen=True)
class Spike:
    """The loss of a single step that was far above the usual.

    Attributes:
      step: The step.
      task: The task, or "".
      loss: How high it was; None when that is not known, infinite when it was not finite.
      usual: What the loss usually was; None when that is not known.
    """

    step: float
    task: str
    loss: float | None = None
    usual: float | None = None

    @property
    def size(self) -> float:
        """How many times its usual value the loss was; 0 when that is not known."""
        if self.loss is None:
            return 0.0
        return self.loss / self.usual if self.usual else self.loss


def happenings(events: Sequence[Mapping[str, Any]]) -> list[Happening]:
    """The events whose step is known, in the order recorded."""
    found = []
    for event in events:
        step, kind = event.get("step"), str(event.get("kind") or "")
        if is_finite(step) and step >= 0:
            task, layer, feature = (str(event.get(name) or "") for name in ("task", "layer", "feature"))
            kind = _OLD_NAMES.get(kind, kind)
            found.append(Happening(number(step), kind, task, layer, event.get("evidence"), feature))
    return found


def incidents(events: Sequence[Happening], end: float) -> list[Incident]:
    """The incidents, by their first step.

    Args:
      events: In the order recorded; spikes are passed over.
      end: The last step that anything is known of.
    """
    spans = _spans([event for event in events if event.severity != "spike"], end)
    groups: list[list[_Span]] = []
    reach = 0.0
    for span in sorted(spans, key=lambda span: span.first):
        if groups and span.first - reach <= NEAR:
            groups[-1].append(span)
            reach = max(reach, span.last)
        else:
            groups.append([span])
            reach = span.last
    return [_joined(group) for group in groups]


def spikes(events: Sequence[Happening]) -> list[Spike]:
    """The spikes, as far as their evidence tells."""
    return [_spike(event) for event in events if event.severity == "spike"]


@dataclasses.dataclass
class _Span:
    """The events of one task from leaving its range to coming back, or a single event; ``places`` are theirs in the record."""

    events: list[Happening]
    places: list[int]
    last: float
    away: bool = False

    @property
    def first(self) -> float:
        return min(event.step for event in self.events)

    def add(self, event: Happening, place: int) -> None:
        self.events.append(event)
        self.places.append(place)
        self.last = max(self.last, event.step)


def _spans(events: Sequence[Happening], end: float) -> list[_Span]:
    spans: list[_Span] = []
    away: dict[str, _Span] = {}
    for place, event in enumerate(events):
        if event.kind in (*_LEAVES, *RETURNS) and event.task in away:
            away[event.task].add(event, place)
        else:
            spans.append(_Span([event], [place], event.step))
        if event.kind in _LEAVES:
            away.setdefault(event.task, spans[-1])
        elif event.kind in RETURNS:
            away.pop(event.task, None)
        elif event.kind == "rollback":
            for span in away.values():
                span.last = max(span.last, event.step)
            away.clear()
    for span in away.values():
        span.away, span.last = True, max(span.last, end)
    return spans


def _joined(group: Sequence[_Span]) -> Incident:
    ordered = sorted(
        ((place, event) for span in group for place, event in zip(span.places, span.events, strict=True)),
        key=lambda pair: (pair[1].step, pair[0]),
    )
    away = tuple(dict.fromkeys(span.events[0].task for span in group if span.away))
    return Incident(tuple(event for _, event in ordered), max(span.last for span in group), away)


def _spike(event: Happening) -> Spike:
    text = str(event.evidence or "")
    found = _SPIKE.match(text)
    try:
        if found:
            return Spike(event.step, event.task, float(found[1]), float(found[2]))
    except ValueError:
        pass
    return Spike(event.step, event.task, float("inf") if text.startswith("the loss was not finite") else None)

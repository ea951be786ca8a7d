"""Formats events for a terminal, one line for each incident."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from ...foundation.run_terms import EventKind
from .event import Event

_MAX_NAMES = 3
# The kind of the first event of a line, the most severe first. Actions have their own lines.
_SEVERITY: tuple[EventKind, ...] = ("full_divergence", "nonfinite", "chance", "out_of_range", "recovery")
_ACTIONS: tuple[EventKind, ...] = ("rollback", "no_rollback")


def format_events(events: Sequence[Event]) -> list[str]:
    """Formats the events of a check as one line per step, in the order of their first events.

    An incident usually affects several tasks and layers in the same step, and the detector reports an event for each.
    The line shows the most severe event and names the others.

    Example:
    >>> format_events([Event(65, "spike", "click", "loss 35"), Event(65, "spike", "like", "loss 9")])
    ['step 65 [click] spike: loss 35 (also like)']
    """
    incidents: dict[tuple[int, str], list[Event]] = {}
    for event in events:
        incidents.setdefault((event.step, event.kind if event.kind in _ACTIONS else ""), []).append(event)
    return [_format_incident(incident) for incident in incidents.values()]


def _format_incident(events: Sequence[Event]) -> str:
    order = {kind: rank for rank, kind in enumerate(dict.fromkeys([*_SEVERITY, *get_args(EventKind)]))}
    first, *others = sorted(events, key=lambda event: order[event.kind])
    by_kind: dict[EventKind, list[str]] = {}
    for event in others:
        by_kind.setdefault(event.kind, []).append(event.task or event.layer or event.feature)
    phrases = []
    for kind, names in by_kind.items():
        text = _join_names(names)
        if kind != first.kind:
            text = f"{kind.replace('_', ' ')}{': ' * bool(text)}{text}"
        phrases += [text] if text else []
    return f"{first} (also {'; '.join(phrases)})" if phrases else str(first)


def _join_names(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(filter(None, names)))
    if len(names) > _MAX_NAMES:
        names[_MAX_NAMES - 1 :] = [f"{len(names) - _MAX_NAMES + 1} more"]
    return ", ".join(names)

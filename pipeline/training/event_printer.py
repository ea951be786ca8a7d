"""Prints the events of divergence that a person should know about while training runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tf_keras

from ..divergence import Event

_MAX_NAMES = 3


class EventPrinter(tf_keras.callbacks.Callback):
    """Prints events, one line for each step and kind.

    Trouble usually reaches several tasks in the same step, and the monitor reports one event for each of them. The line shows
    the evidence of the first event and names the tasks of the others. A spike that the labels explain is not printed, because
    there is nothing to do about it. All events are in ``divergence.json`` and in the report.

    Args:
      print_line: Prints a line.
    """

    def __init__(self, print_line: Callable[[str], None]):
        super().__init__()
        self._print_line = print_line
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        """Takes an event; it is printed when the current steps are done."""
        if not event.values.get("explained"):
            self._events.append(event)

    def flush(self) -> None:
        """Prints the events that were added since the last call."""
        events, self._events = self._events, []
        for line in format_events(events):
            self._print_line(line)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Prints the events of the last steps."""
        self.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Prints the events of the end of the day."""
        self.flush()


def format_events(events: Sequence[Event]) -> list[str]:
    """Formats events as lines, one for each step and kind, in the order of the first event of each.

    Example:
    >>> format_events([Event(65, "spike", "click", "loss 35"), Event(65, "spike", "like", "loss 9")])
    ['step 65 [click] spike: loss 35 (also like)']
    """
    groups: dict[tuple[int, str], list[Event]] = {}
    for event in events:
        groups.setdefault((event.step, event.kind), []).append(event)
    lines = []
    for first, *others in groups.values():
        names = list(dict.fromkeys(name for event in others if (name := event.task or event.layer or event.feature)))
        if len(names) > _MAX_NAMES:
            names[_MAX_NAMES - 1 :] = [f"{len(names) - _MAX_NAMES + 1} more"]
        lines.append(f"{first} (also {', '.join(names)})" if names else str(first))
    return lines

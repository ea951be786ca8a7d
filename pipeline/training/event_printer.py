"""Prints divergence events on the terminal during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tf_keras

from ..divergence import Event

_MAX_NAMES = 3


class EventPrinter(tf_keras.callbacks.Callback):
    """Prints events, one line for each step and kind.

    A divergence usually affects several tasks in the same step, and the monitor reports one event per task. The line
    shows the evidence of the first event and names the other tasks. Spikes that the labels explain are not printed,
    because they require no action. ``divergence.json`` and the report list all events.

    Args:
      print_line: Prints a line.
    """

    def __init__(self, print_line: Callable[[str], None]):
        super().__init__()
        self._print_line = print_line
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        """Queues an event until the current steps are done."""
        if not event.values.get("explained"):
            self._events.append(event)

    def flush(self) -> None:
        """Prints the events in the queue and empties it."""
        events, self._events = self._events, []
        for line in format_events(events):
            self._print_line(line)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Prints the events of the last steps."""
        self.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Prints the events that the end of the day brought."""
        self.flush()


def format_events(events: Sequence[Event]) -> list[str]:
    """Formats events as one line per step and kind, in the order of their first events.

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

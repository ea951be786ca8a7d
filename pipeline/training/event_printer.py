"""Prints divergence events on the terminal during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tf_keras

from ..divergence import Event
from ..divergence.event_lines import format_events


class EventPrinter(tf_keras.callbacks.Callback):
    """Prints events, one line for each incident.

    Spikes that the labels explain are not printed, because they require no action. ``divergence.json`` and the report
    list all events.

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

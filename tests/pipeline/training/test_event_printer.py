from __future__ import annotations

from steadyrank.pipeline.divergence import Event
from steadyrank.pipeline.training.event_printer import EventPrinter


def make_spike(task: str, explained: float, step: int = 65) -> Event:
    return Event(step, "spike", task, f"evidence of {task}", values={"explained": explained})


def test_a_spike_that_the_labels_explain_is_not_printed():
    lines: list[str] = []
    printer = EventPrinter(lines.append)
    printer.add(make_spike("watch_time", explained=1.0))
    printer.add(make_spike("click", explained=0.0))
    printer.flush()
    assert lines == ["step 65 [click] spike: evidence of click"]


def test_events_are_printed_once_after_their_steps():
    lines: list[str] = []
    printer = EventPrinter(lines.append)
    printer.add(make_spike("click", explained=0.0))
    assert not lines
    printer.on_train_batch_end(0)
    printer.on_train_end()
    assert len(lines) == 1

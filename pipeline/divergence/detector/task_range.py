"""Whether one task is in range: events when it leaves, when it stays out, and when it comes back."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ....foundation.run_terms import EventKind
from ..event import Event, Evidence

Source = Literal["steps", "publications"]
"""What shows that a task is out of range: the losses of single steps, or metrics over many of them."""


@dataclasses.dataclass
class TaskRange:
    """Follows one task out of its range and back. It knows nothing of losses: others judge, and report here.

    Attributes:
      task: The task; empty for the whole model.
      out_since: For each source that sees the task out of range, the step since when.
      bad_publications: Publications in a row that show the task out of range.
      reason: Why the task left its range the last time.
      is_full: Whether the divergence is full.
    """

    task: str
    out_since: dict[Source, int] = dataclasses.field(default_factory=dict)
    bad_publications: int = 0
    reason: str = ""
    is_full: bool = False

    @property
    def since(self) -> int | None:
        """The first step out of range; None if the task is in range."""
        return min(self.out_since.values(), default=None)

    def leave(self, source: Source, since: int, step: int, evidence: Evidence, is_full: bool) -> list[Event]:
        """Takes note that the task is out of range, and returns the events that follow.

        Args:
          source: What shows it.
          since: First step out of range, as far as this source knows.
          step: The newest step that was judged.
          evidence: Why.
          is_full: Whether the divergence is full.
        """
        events = []
        if not self.out_since:
            self.reason = evidence.text
            events.append(Event(since, "out_of_range", self.task, evidence.text, values=evidence.values))
        self.out_since.setdefault(source, since)
        if is_full and not self.is_full:
            self.is_full = True
            first = min(self.out_since.values())
            full = evidence.with_context(f"out of range since step {first:,}", since=first)
            events.append(Event(step, "full_divergence", self.task, full.text, values=full.values))
        return events

    def come_back(self, source: Source, step: int) -> list[Event]:
        """Takes note that a source sees the task in range; the task is back when all sources do."""
        since = self.since
        self.out_since.pop(source, None)
        if self.out_since or (since is None and not self.is_full):
            return []
        period = (
            f"back in range at step {step:,}" if since is None else f"out of range from step {since:,} to step {step:,}"
        )
        evidence = Evidence.of(
            ": ".join(filter(None, (period, self.reason))), **({} if since is None else {"since": since})
        )
        kind: EventKind = "recovery" if self.is_full else "micro_divergence"
        self.is_full = False
        return [Event(step, kind, self.task, evidence.text, values=evidence.values)]

    def reset(self) -> None:
        """Puts the task back in range without an event, as a rollback does."""
        self.out_since, self.bad_publications, self.reason, self.is_full = {}, 0, "", False

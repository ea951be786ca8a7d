"""Tracks whether a task is in range, and makes events when it leaves, stays out and returns."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ....foundation.run_terms import EventKind
from ..event import Event, Evidence

Source = Literal["steps", "publications"]
"""The source of the judgment: losses of single steps, or metrics over many steps."""


@dataclasses.dataclass
class TaskRange:
    """Tracks one task out of its range and back. Other classes judge the losses and report the result here.

    Attributes:
      task: The task; empty for the whole model.
      out_since: For each source that reports the task as out of range, the first such step.
      bad_publications: Number of consecutive publications with the task out of range.
      reason: The evidence when the task last left its range.
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

    def mark_out_of_range(
        self, source: Source, since: int, step: int, evidence: Evidence, is_full: bool
    ) -> list[Event]:
        """Marks the task as out of range and returns the new events.

        Args:
          source: The source of the judgment.
          since: First step out of range, according to this source.
          step: The last step of the judgment.
          evidence: The evidence.
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

    def mark_in_range(self, source: Source, step: int) -> list[Event]:
        """Marks the task as in range for one source. The task has returned when it is in range for all sources."""
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
        """Marks the task as in range without an event, as after a rollback."""
        self.out_since, self.bad_publications, self.reason, self.is_full = {}, 0, "", False

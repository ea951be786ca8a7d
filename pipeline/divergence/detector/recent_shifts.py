"""Explains events by features that shifted shortly before."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ....foundation.formatting import join_words
from ..event import Event, join_sentences
from .feature_shifts import Shift

# A shift explains events within this many steps after it.
_EXPLAINED_STEPS = 64
_MAX_SHIFTS = 16
# The evidence names at most this many other features and counts the rest.
_MAX_NAMED = 5


class RecentShifts:
    """The last feature shifts.

    Example:
    >>> from steadyrank.pipeline.divergence.event import Evidence
    >>> shifts = RecentShifts()
    >>> _ = shifts.add([Shift("age", 193, 2.0, Evidence.of("typical value 9 (usual 2)"))])
    >>> shifts.explain(Event(200, "spike", "click", "loss 35.2 (usual 3.7 ± 1.9)"), start_step=200).evidence
    'loss 35.2 (usual 3.7 ± 1.9). The feature age left its usual range at step 193.'
    """

    def __init__(self) -> None:
        self._shifts: list[tuple[int, str]] = []

    def add(self, shifts: Sequence[Shift]) -> list[Event]:
        """Adds the shifts of one window.

        Returns one event for all, because new data often shifts many features at once.
        """
        if not shifts:
            return []
        first, *others = shifts
        self._shifts = [*self._shifts, (first.step, first.feature)][-_MAX_SHIFTS:]
        names = [shift.feature for shift in others[:_MAX_NAMED]]
        if len(others) > _MAX_NAMED:
            names.append(f"{len(others) - _MAX_NAMED} more")
        evidence = f"{first.evidence.text}; also {join_words(names)}" if names else first.evidence.text
        values = {**first.evidence.values, "count": float(len(shifts))}
        return [Event(first.step, "feature_shift", "", evidence, feature=first.feature, values=values)]

    def explain(self, event: Event, start_step: int) -> Event:
        """Adds the newest shift to the evidence of an event if it happened shortly before.

        Args:
          event: The event.
          start_step: The first step of the incident that the event reports.
        """
        recent = [shift for shift in self._shifts if 0 <= start_step - shift[0] <= _EXPLAINED_STEPS]
        if not recent:
            return event
        step, feature = recent[-1]
        evidence = join_sentences(event.evidence, f"The feature {feature} left its usual range at step {step:,}")
        return dataclasses.replace(event, feature=feature, evidence=evidence)

    def get_state(self) -> list[tuple[int, str]]:
        """Returns the shifts as plain types."""
        return list(self._shifts)

    def set_state(self, state: Sequence[Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self._shifts = [(int(step), str(feature)) for step, feature in state]

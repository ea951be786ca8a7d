"""Tracks whether the weights are finite, and makes events when this changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ....foundation.formatting import join_words
from ..event import Event

# The evidence names at most this many layers and counts the rest.
_MAX_NAMED = 4


@dataclasses.dataclass
class WeightState:
    """Whether the weights are finite.

    Attributes:
      since: The first step that may have made weights not finite; None while all are finite.
    """

    since: int | None = None

    def observe(self, step: int, since: int, layers: Sequence[str]) -> list[Event]:
        """Judges the weights after a step and returns the new events; see :meth:`.detector.Detector.observe_weights`."""
        if not layers:
            first, self.since = self.since, None
            if first is None:
                return []
            evidence = f"all weights are finite again; they were not from step {first:,} to step {step:,}"
            return [Event(step, "recovery", "", evidence, values={"since": float(first)})]
        if self.since is not None:
            return []
        self.since = since
        named = list(layers[:_MAX_NAMED])
        if len(layers) > _MAX_NAMED:
            named.append(f"{len(layers) - _MAX_NAMED} more")
        evidence = f"weights are not finite in {len(layers)} layer{'s' * (len(layers) > 1)}: {join_words(named)}"
        values = {"since": float(since), "count": float(len(layers))}
        return [Event(step, "full_divergence", "", evidence, layer=layers[0], values=values)]

    def reset(self) -> None:
        """Marks the weights as finite without an event, as after a rollback."""
        self.since = None

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return dataclasses.asdict(self)

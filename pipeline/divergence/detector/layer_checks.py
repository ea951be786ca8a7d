"""Checks of layers: outputs that are not finite, dead units, and layers that the clipping rule has almost stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....foundation.formatting import format_percent
from ....foundation.metric_key import MetricKey
from ..event import Event, format_number
from ..signal_statistics import SignalStatistics
from .thresholds import Thresholds

# A dead layer is reported again only after its share of dead units falls this far below the threshold.
_REVIVAL_MARGIN = 0.1


class LayerChecks:
    """Finds faulty layers and reports each one once, until it recovers.

    Args:
      thresholds: The detector's settings.
    """

    def __init__(self, thresholds: Thresholds):
        self._thresholds = thresholds
        self._has_nonfinite = False
        self._dead_layers: set[str] = set()
        self._over_clipped_publications: dict[str, int] = {}

    def find_nonfinite(self, before: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        """Finds the first layer, in order of computation, with an output that is not finite at the first such step."""
        first_steps = {
            MetricKey.parse(name).subject: signal.first_nonfinite_step
            for name, signal in signals.items()
            if MetricKey.parse(name).kind == "activation" and signal.nonfinite_count
        }
        was_reported, self._has_nonfinite = self._has_nonfinite, bool(first_steps)
        if not first_steps or was_reported:
            return []
        first = min(first_steps.values())
        layer = next(layer for layer, step in first_steps.items() if step == first)
        evidence = "this is the first layer with an output that is not finite"
        return [Event(before + first, "nonfinite_values", "", evidence, layer=layer)]

    def find_dead(self, step: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        """Finds layers in which almost all units are 0 throughout the window that ends at ``step``."""
        events = []
        for name, signal in signals.items():
            kind, layer = MetricKey.parse(name)
            if kind != "dead_units" or not signal.finite_count:
                continue
            if signal.minimum < self._thresholds.dead_share - _REVIVAL_MARGIN:
                self._dead_layers.discard(layer)
            elif signal.minimum > self._thresholds.dead_share and layer not in self._dead_layers:
                self._dead_layers.add(layer)
                evidence = f"{format_percent(signal.minimum)} of the units are 0 for every row of every batch"
                values = {"dead_share": signal.minimum}
                events.append(Event(step, "dead_layer", "", evidence, layer=layer, values=values))
        return events

    def find_over_clipped(self, step: int, steps: int, metrics: Mapping[str, float]) -> list[Event]:
        """Finds layers that the clipping rule has almost stopped for a long time.

        Args:
          step: The step of a publication.
          steps: Number of steps since the last publication.
          metrics: The metrics of the publication.
        """
        events = []
        for key, factor in metrics.items():
            kind, layer = MetricKey.parse(key)
            if kind != "clipping_factor_last":
                continue
            is_clipped_often = metrics.get(f"clipped_steps/{layer}", 0) >= 0.9 * steps
            is_stopped = is_clipped_often and factor < self._thresholds.over_clipping_factor
            count = self._over_clipped_publications.get(layer, 0) + 1 if is_stopped else 0
            self._over_clipped_publications[layer] = count
            if count == self._thresholds.patience_publications:
                evidence = (
                    f"clipped in at least 9 of 10 steps over {count} publications; last clipping factor "
                    f"{format_number(factor)}"
                )
                values = {"clipping_factor": float(factor), "count": float(count)}
                events.append(Event(step, "over_clipping", "", evidence, layer=layer, values=values))
        return events

    def reset(self) -> None:
        """Discards the state of all layers."""
        self._has_nonfinite = False
        self._dead_layers.clear()
        self._over_clipped_publications.clear()

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return {
            "has_nonfinite": self._has_nonfinite,
            "dead_layers": sorted(self._dead_layers),
            "over_clipped_publications": dict(self._over_clipped_publications),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self._has_nonfinite = state["has_nonfinite"]
        self._dead_layers = set(state["dead_layers"])
        self._over_clipped_publications = dict(state["over_clipped_publications"])

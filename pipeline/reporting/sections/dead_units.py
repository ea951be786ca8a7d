"""The section about layers with many dead units."""

from __future__ import annotations

from ....foundation.formatting import format_percent
from ..analysis.series import Series, to_percent
from ..figures.curves import Curve
from ..page_layout import make_panels, make_paragraph, make_section
from .run_figures import RunFigures

_SMALLEST_SHARE = 0.2
_MAX_PANELS = 8


def make_dead_units_section(figures: RunFigures) -> str:
    """Makes the section; empty if no layer ever had many dead units."""
    shares = figures.select_layers("dead_units")
    layers = [layer for layer, series in shares.items() if _find_largest(series) > _SMALLEST_SHARE]
    if not layers:
        return ""
    shown = sorted(layers, key=lambda layer: -_find_largest(shares[layer]))[:_MAX_PANELS]
    text = (
        "A unit is dead if its output is 0 in every row of a batch. The curves show the largest share of dead units between "
        f"two publications, for layers whose share exceeded {format_percent(_SMALLEST_SHARE)}."
    )
    if len(shown) < len(layers):
        text += f" These are the {len(shown)} worst of {len(layers)} such layers."
    panels = [
        figures.draw_panel(
            f"dead-{index}", layer, "dead units, %", [Curve("training", to_percent(shares[layer]))], bounds=(0.0, 100.0)
        )
        for index, layer in enumerate(shown)
    ]
    return make_section("Dead units", make_paragraph(text) + figures.make_legend() + make_panels(panels))


def _find_largest(series: Series) -> float:
    return float(series.values[series.finite_mask].max(initial=0.0))

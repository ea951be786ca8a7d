"""The section with the clipping factors of each layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..analysis.series import Series
from ..figures.clipping_map import draw_clipping_map, select_most_clipped
from ..page_layout import (
    escape,
    make_details,
    make_number_cell,
    make_paragraph,
    make_responsive_figure,
    make_section,
    make_table,
)
from ..report_text import UNKNOWN, format_count, format_decimal
from .run_figures import RunFigures


def make_clipping_section(figures: RunFigures) -> str:
    """Makes the section; empty if no rule clipped."""
    factors = figures.history.clipping_factors
    if not factors:
        return ""
    text = (
        "The rule multiplies each layer's step by a clipping factor. A cell shows the smallest factor between two "
        "publications. A factor of 1 (lightest) leaves the step unchanged. Factors of 0.01 or less are darkest."
    )
    shown = len(select_most_clipped(factors))
    if shown < len(factors):
        text += f" The figure shows the {shown} most clipped of {len(factors)} layers. The table lists all layers."

    def draw(*, name: str, wide: bool) -> str:
        marks = figures.make_marks(with_spikes=False)
        return draw_clipping_map(name, factors, extent=figures.extent, marks=marks, wide=wide)

    table = make_details("Clipping by layer in numbers", _make_table(factors, figures.select_layers("clipped_steps")))
    legend = figures.make_legend(with_spikes=False)
    return make_section(
        "Clipping by layer", make_paragraph(text) + legend + make_responsive_figure(draw, "clipping") + table
    )


def _make_table(factors: Mapping[str, Series], clipped_steps: Mapping[str, Series]) -> str:
    rows = []
    for layer, series in factors.items():
        finite = series.finite_mask
        smallest = step = clipped = UNKNOWN
        if finite.any():
            index = int(np.argmin(np.where(finite, series.values, np.inf)))
            smallest, step = format_decimal(float(series.values[index])), format_count(float(series.steps[index]))
        if nonfinite := int((~finite).sum()):
            smallest += f" ({nonfinite:,} not finite)"
        counts = clipped_steps.get(layer)
        if counts is not None and counts.steps.size:
            clipped = format_count(float(counts.values[counts.finite_mask].sum()))
        cells = "".join(make_number_cell(text) for text in (smallest, step, clipped))
        rows.append(f'<tr><th scope="row"><code>{escape(layer)}</code></th>{cells}</tr>')
    return make_table(["Layer", "Smallest factor", "Published at step", "Clipped steps"], rows, "layers")

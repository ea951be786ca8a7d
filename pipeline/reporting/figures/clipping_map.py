"""The smallest clipping factor of each layer over the training step, as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from ..analysis.reductions import compute_slice_minima
from ..analysis.series import Series
from .cell_map import draw_cells, draw_color_scale
from .palette import NARROW, WIDE
from .step_axis import Mark, draw_marks, draw_nonfinite_cells, set_step_axis
from .svg import figure_settings, make_canvas, to_inline_svg
from .value_axis import format_tick

MAX_LAYERS = 40
"""Largest number of layers in a map."""

_COLORS = LinearSegmentedColormap.from_list(
    "clipping", ["#2d0a4e", "#7b2a75", "#cf5a5b", "#f3a65a", "#fbe3b5", "#f1f3f6"]
)
# Decimal logarithms of the factors. All maps end at 0.01, so that the maps of two runs are comparable.
_LIMITS = (-2.0, 0.0)
_LABELED_FACTORS = (1.0, 0.3, 0.1, 0.03, 0.01)


def draw_clipping_map(
    name: str,
    factors: Mapping[str, Series],
    *,
    extent: float,
    marks: Sequence[Mark] = (),
    wide: bool = False,
) -> str:
    """Draws the smallest clipping factor of each layer over the training step, on a logarithmic scale.

    Args:
      name: Prefix of the figure's ids; unique within the page.
      factors: Factors by layer, from the top row to the bottom row. If there are more than :data:`MAX_LAYERS`, the most
        clipped are drawn.
      extent: Last step of the axis, above 0.
      marks: Events, drawn as vertical lines.
      wide: Whether the figure spans the page.
    """
    layers = select_most_clipped(factors)
    slices = _choose_slices(factors, extent, 180 if wide else 90)
    cut = [compute_slice_minima(factors[layer], extent, slices) for layer in layers]
    with np.errstate(divide="ignore", invalid="ignore"):
        shades = np.maximum(np.log10(np.array([np.maximum(minima, 0) for minima, _ in cut])), _LIMITS[0])
    width, left, right, row_height = (WIDE, 205.0, 66.0, 15.0) if wide else (NARROW, 8.0, 60.0, 26.0)
    height = 66 + row_height * max(len(layers), 3)
    with figure_settings(name):
        figure = make_canvas(width, height)
        axes = figure.add_axes((left / width, 38 / height, 1 - (left + right) / width, 1 - 66 / height))
        draw_cells(axes, shades, layers, colors=_COLORS, limits=_LIMITS, extent=extent, wide=wide)
        axes.spines["bottom"].set_visible(True)
        set_step_axis(axes, extent)
        draw_marks(axes, marks, extent, width)
        draw_nonfinite_cells(axes, [nonfinite for _, nonfinite in cut], extent, 0.5 if wide else 0.75)
        draw_color_scale(
            figure.add_axes((1 - (right - 14) / width, 38 / height, 9 / width, 1 - 66 / height)),
            "factor",
            colors=_COLORS,
            limits=_LIMITS,
            ticks=[float(np.log10(factor)) for factor in _LABELED_FACTORS],
            labels=[*map(format_tick, _LABELED_FACTORS[:-1]), f"≤ {format_tick(_LABELED_FACTORS[-1])}"],
        )
        return to_inline_svg(figure, name, "Smallest clipping factor of each layer over the training step")


def select_most_clipped(factors: Mapping[str, Series]) -> list[str]:
    """Selects the layers for a map, in their order: all layers, or the :data:`MAX_LAYERS` with the smallest factors."""
    if len(factors) <= MAX_LAYERS:
        return list(factors)

    def find_smallest(layer: str) -> float:
        values = factors[layer].values
        # A factor that is not finite counts as the smallest.
        return float(np.min(np.where(np.isfinite(values), values, -1.0), initial=1.0))

    selected = set(sorted(factors, key=find_smallest)[:MAX_LAYERS])
    return [layer for layer in factors if layer in selected]


def _choose_slices(factors: Mapping[str, Series], extent: float, limit: int) -> int:
    """Chooses at most ``limit`` slices. For evenly spaced publications, each one gets a whole number of slices."""
    steps = np.unique(np.concatenate([series.steps for series in factors.values()]))
    interval = steps[0] if steps.size else 0.0
    if interval <= 0 or np.any(steps % interval) or extent % interval or extent / interval > limit:
        return limit
    publications = int(extent / interval)
    return publications * (limit // publications)

"""Metrics as curves over the training step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ..analysis.reductions import average_by_step, split_at_gaps, thin
from ..analysis.series import Series
from . import value_axis
from .palette import CURVE_STYLES, MEASURED, MUTED, NARROW, REFERENCES, WIDE, Role
from .step_axis import Mark, draw_marks, draw_nonfinite_crosses, set_step_axis
from .svg import figure_settings, make_canvas, to_inline_svg

Bounds = tuple[float | None, float | None]
"""Values that the axis must include, at the lower and upper end; None for no requirement."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One series of a figure.

    Attributes:
      role: The kind of curve, which determines its style.
      series: The points. A reference (``ceiling`` or ``chance``) is drawn as a step function that extends to both ends
        of the axis.
    """

    role: Role
    series: Series


def draw_curves(
    name: str,
    title: str,
    unit: str,
    curves: Sequence[Curve],
    *,
    extent: float,
    marks: Sequence[Mark] = (),
    wide: bool = False,
    bounds: Bounds = (None, None),
) -> str:
    """Draws curves over the training step.

    The value axis is logarithmic if the values span orders of magnitude. At a value that is not finite, the line breaks
    and a cross marks the upper edge.

    Args:
      name: Prefix of the figure's ids; unique within the page.
      title: The subject of the curves, such as a task.
      unit: The label of the value axis: measure and unit.
      curves: The curves; empty series are skipped.
      extent: Last step of the axis, above 0.
      marks: Events, drawn as vertical lines.
      wide: Whether the figure spans the page.
      bounds: Values that the axis must reach.
    """
    width, height = (WIDE, 254.0) if wide else (NARROW, 219.0)
    with figure_settings(name):
        figure = make_canvas(width, height)
        axes = figure.add_axes((56 / width, 38 / height, 1 - 68 / width, 1 - 70 / height))
        axes.set_title(title)
        thinned = [Curve(curve.role, thin(curve.series)) for curve in curves if curve.series.steps.size]
        _set_value_axis(axes, thinned, bounds)
        set_step_axis(axes, extent)
        axes.set_ylabel(unit)
        for curve in thinned:
            _draw_curve(axes, curve, extent)
        draw_marks(axes, marks, extent, width)
        draw_nonfinite_crosses(axes, [curve.series for curve in curves if curve.role in MEASURED], extent)
        if not any(curve.role in MEASURED for curve in thinned):
            axes.text(0.5, 0.5, "no values recorded", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return to_inline_svg(figure, name, f"{title}: {unit} over the training step")


def _set_value_axis(axes: Axes, curves: Sequence[Curve], bounds: Bounds) -> None:
    values = [value_axis.clip_to_drawable(curve.series.values[curve.series.finite_mask]) for curve in curves]
    required = np.concatenate([*values, [bound for bound in bounds if bound is not None]])
    if not required.size:
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    scale = value_axis.choose_scale(required)
    low, high = value_axis.choose_limits(required, scale, bounds)
    if scale == "linear":
        axes.set_ylim(low, high)
        axes.set_yticks(*value_axis.make_round_ticks(low, high))
        return
    if scale == "log":
        axes.set_yscale("log")
        # If the axis covers few decades, add ticks at 2 and 5.
        subs = (1.0,) if np.log10(high / low) > 2.5 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    else:
        axes.set_yscale("symlog", linthresh=value_axis.choose_linear_threshold(required))
    # Set these after the scale, which sets other formatters and minor ticks.
    axes.yaxis.set_major_formatter(FuncFormatter(value_axis.format_tick))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, high)


def _draw_curve(axes: Axes, curve: Curve, extent: float) -> None:
    style = CURVE_STYLES[curve.role]
    options = style.to_matplotlib()
    if curve.role in REFERENCES:
        means = average_by_step(curve.series)
        if means.steps.size:
            steps = np.concatenate([[0.0], means.steps[1:], [extent]])
            values = value_axis.clip_to_drawable(np.append(means.values, means.values[-1]))
            axes.plot(steps, values, drawstyle="steps-post", **options)
        return
    for piece in split_at_gaps(curve.series):
        # A single value between two gaps has no line, so draw a dot.
        dot = {"marker": ".", "markersize": 5} if not style.marker and piece.steps.size == 1 else {}
        axes.plot(piece.steps, value_axis.clip_to_drawable(piece.values), clip_on=not style.marker, **(options | dot))

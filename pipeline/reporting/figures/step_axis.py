"""The axis of the training step, the marks of events, and crosses for values that are not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..analysis.incidents import Severity
from ..analysis.series import Series
from .palette import MARK_STYLES, MUTED, VERMILION
from .value_axis import format_tick

_NOT_FINITE = "\N{MULTIPLICATION SIGN} not finite"
# Incident numbers closer than this many SVG units are joined.
_NUMBER_WIDTH = 14.0
# Largest number of crosses across the figure without overlap.
_MAX_CROSSES = 60
_SLICES_PER_CROSS = 3


@dataclasses.dataclass(frozen=True)
class Mark:
    """An event in a figure.

    Attributes:
      step: The training step.
      severity: The severity, which determines the style of the mark.
      number: The number of the incident in the page's table, written above the mark; None for no number.
    """

    step: float
    severity: Severity
    number: int | None = None


def set_step_axis(axes: Axes, extent: float) -> None:
    """Sets the horizontal axis to the training steps from 0 to ``extent``."""
    axes.set_xlim(0, extent)
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(format_tick))


def draw_marks(axes: Axes, marks: Sequence[Mark], extent: float, width: float) -> None:
    """Draws a vertical line for each mark, and the incident's number above its first mark.

    Args:
      axes: Axes over the training step.
      marks: The marks.
      extent: Last step of the axis.
      width: Width of the figure in SVG units.
    """
    for severity, style in MARK_STYLES.items():
        axes.vlines(
            sorted({mark.step for mark in marks if mark.severity == severity}),
            0,
            style.height,
            transform=axes.get_xaxis_transform(),
            color=style.color,
            linestyle=(0, style.dashes) if style.dashes else "solid",
            linewidth=style.linewidth,
            zorder=2.5,
        )
    # Join numbers that would overlap to a range.
    groups: list[list[Mark]] = []
    for mark in _select_first_marks(marks):
        if groups and (mark.step - groups[-1][-1].step) / extent < _NUMBER_WIDTH / width:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    for group in groups:
        numbers = sorted({mark.number for mark in group if mark.number is not None})
        axes.text(
            (group[0].step + group[-1].step) / 2,
            1.01,
            str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}\N{EN DASH}{numbers[-1]}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            color=MUTED,
            fontsize=8,
        )


def draw_nonfinite_crosses(axes: Axes, series: Sequence[Series], extent: float) -> None:
    """Draws a cross at the upper edge for each step with a value that is not finite, and writes their number."""
    steps = np.concatenate([curve.steps[~curve.finite_mask] for curve in series]) if series else np.empty(0)
    if not steps.size:
        return
    positions = np.unique(np.round(steps / extent * _MAX_CROSSES) / _MAX_CROSSES * extent)
    axes.plot(
        np.clip(positions, 0, extent),
        np.full(len(positions), 0.965),
        transform=axes.get_xaxis_transform(),
        linestyle="none",
        marker="x",
        markersize=5,
        markeredgewidth=1.3,
        color=VERMILION,
        clip_on=False,
        zorder=7,
    )
    total = sum(curve.steps.size for curve in series)
    _write_note(axes, f"{_NOT_FINITE}: {steps.size:,} of {total:,}")


def draw_nonfinite_cells(axes: Axes, nonfinite: Sequence[np.ndarray], extent: float, middle: float) -> None:
    """Draws a cross in the cells of a map with a value that is not finite.

    Args:
      axes: Axes over the training step, with one unit of height per row.
      nonfinite: For each row, which slices hold such a value.
      extent: Last step of the axis.
      middle: Height of the crosses within a row, from 0 to 1.
    """
    points = {
        ((index // _SLICES_PER_CROSS + 0.5) * _SLICES_PER_CROSS * extent / len(row), position + middle)
        for position, row in enumerate(nonfinite)
        for index in np.flatnonzero(row)
    }
    if points:
        x, y = np.array(sorted(points)).T
        axes.plot(x, y, linestyle="none", marker="x", markersize=4, markeredgewidth=1.2, color=VERMILION, zorder=7)
        _write_note(axes, _NOT_FINITE)


def _write_note(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="right", color=VERMILION, fontsize=8.5, fontweight="normal")


def _select_first_marks(marks: Sequence[Mark]) -> list[Mark]:
    """Selects the first mark of each incident number."""
    first: dict[int, Mark] = {}
    for mark in sorted(marks, key=lambda mark: mark.step):
        if mark.number is not None:
            first.setdefault(mark.number, mark)
    return list(first.values())

"""The days of a log: a bar for the rows of each day above a map of the shifts of each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from ..analysis.column_shifts import LARGEST_SHIFT, SMALLEST_SHIFT
from .cell_map import draw_cells, draw_color_scale, shorten
from .palette import BLUE, GREEN, INK, MUTED, NARROW, ORANGE, VERMILION, WIDE
from .svg import figure_settings, make_canvas, to_inline_svg
from .value_axis import clip_to_drawable, format_tick

USE_COLORS: Mapping[str, str] = {"training": BLUE, "holdout": GREEN, "skipped": VERMILION}
"""Colors of the days' bars, by :data:`~.run_terms.DayUse`. The bar of a skipped day is hollow."""

# Blue for less, orange for more. No shift has the same light gray as no clipping in the clipping map.
_COLORS = LinearSegmentedColormap.from_list(
    "shift", ["#0b2a4a", "#2f79b0", "#a9cbe4", "#f1f3f6", "#f5c285", "#cf5f1d", "#5c1503"]
)
_LABELED_SHIFTS = (-LARGEST_SHIFT, -1.0, -0.1, 0.0, 0.1, 1.0, LARGEST_SHIFT)
# In SVG units.
_LETTER_WIDTH = 5.0
_BAR_HEIGHT = 46.0
_TOP, _BOTTOM, _GAP = 24.0, 36.0, 22.0


@dataclasses.dataclass(frozen=True)
class ShiftRow:
    """A row of the map.

    Attributes:
      name: The column and statistic that moved.
      shifts: In standard deviations of the days before, shape ``(D,)``; NaN where unknown.
      flagged: Indices of the days with an anomaly in the column.
    """

    name: str
    shifts: np.ndarray
    flagged: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class DayColumn:
    """A day.

    Attributes:
      name: A name short enough for an axis.
      rows: Number of rows; None if unknown.
      use: A key of :data:`USE_COLORS`, or another word.
      has_anomalies: Whether a check found an anomaly on the day.
    """

    name: str
    rows: float | None
    use: str
    has_anomalies: bool


def draw_day_map(
    name: str, days: Sequence[DayColumn], rows: Sequence[ShiftRow], *, label: str, wide: bool = False
) -> str:
    """Draws bars of the days' rows above a map of shifts, and leaves out a part without data.

    Args:
      name: Prefix of the figure's ids; unique within the page.
      days: The days from left to right; at least one.
      rows: The rows of the map from top to bottom.
      label: Label of the axis of days.
      wide: Whether the figure spans the page.
    """
    has_bars = any(day.rows is not None for day in days)
    width, right, row_height = (WIDE, 66.0, 17.0) if wide else (NARROW, 54.0, 28.0)
    left = 205.0 if wide and rows else 8.0
    bar_height = _BAR_HEIGHT if has_bars else 0.0
    map_top = _TOP + bar_height + (_GAP if has_bars and rows else 0.0)
    map_height = row_height * max(len(rows), 4) if rows else 0.0
    height = map_top + map_height + _BOTTOM
    with figure_settings(name):
        figure = make_canvas(width, height)

        def add_axes(top: float, axes_height: float, start: float, end: float) -> Axes:
            return figure.add_axes(
                (start / width, 1 - (top + axes_height) / height, (end - start) / width, axes_height / height)
            )

        panels: list[Axes] = []
        if has_bars:
            panels.append(add_axes(_TOP, bar_height, left, width - right))
            _draw_bars(panels[-1], days)
        if rows:
            panels.append(add_axes(map_top, map_height, left, width - right))
            ring_size = min(5.5, 0.75 * (width - right - left) / len(days))
            _draw_map(panels[-1], rows, len(days), ring_size, wide)
            _draw_color_scale(add_axes(map_top, map_height, width - right + 14, width - right + 23))
        for axes in panels:
            axes.set_xlim(0, len(days))
            axes.set_xticks([])
        if panels:
            _draw_signs(panels[-1], days)
            _set_day_axis(panels[-1], [day.name for day in days], label, width - right - left)
        parts = [*(["Rows of each day"] if has_bars else []), *(["shift of each column by day"] if rows else [])]
        return to_inline_svg(figure, name, " and ".join(parts))


def scale_shifts(shifts: np.ndarray) -> np.ndarray:
    """Scales shifts to shades with the same sign: logarithmic, 0 at :data:`SMALLEST_SHIFT` and 1 at :data:`LARGEST_SHIFT`."""
    with np.errstate(divide="ignore", over="ignore"):
        sizes = np.log(np.abs(shifts) / SMALLEST_SHIFT) / np.log(LARGEST_SHIFT / SMALLEST_SHIFT)
    return np.sign(shifts) * np.clip(sizes, 0.0, 1.0)


def _draw_bars(axes: Axes, days: Sequence[DayColumn]) -> None:
    values = clip_to_drawable(np.array([day.rows or 0.0 for day in days]))
    for index, (day, value) in enumerate(zip(days, values, strict=True)):
        color = USE_COLORS.get(day.use, MUTED)
        axes.bar(
            index + 0.5,
            value,
            width=0.72,
            facecolor="none" if day.use == "skipped" else color,
            edgecolor=color,
            linewidth=0.9,
            zorder=3,
        )
    axes.set_ylim(0, float(values.max()) * 1.08 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(format_tick))
    # Ticks are on the right, like the map's color scale, because a phone has no room on the left.
    axes.yaxis.tick_right()
    axes.spines["left"].set_visible(False)
    axes.set_title("Rows", pad=6)


def _draw_map(axes: Axes, rows: Sequence[ShiftRow], days: int, ring_size: float, wide: bool) -> None:
    shades = np.array([scale_shifts(row.shifts) for row in rows])
    names = [row.name for row in rows]
    draw_cells(axes, shades, names, colors=_COLORS, limits=(-1.0, 1.0), extent=days, wide=wide)
    axes.vlines(np.arange(1, days), 0, len(rows), color="white", linewidth=1.2 if days <= 40 else 0.4)
    middle = 0.5 if wide else 0.75
    points = [(day + 0.5, index + middle) for index, row in enumerate(rows) for day in row.flagged]
    if not points:
        return
    x, y = np.array(points).T
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markerfacecolor": "none", "zorder": 6}
    # A dark ring on a white one is visible on every shade.
    for color, thickness in (("white", ring_size / 2), (INK, ring_size / 5)):
        axes.plot(x, y, markersize=ring_size, markeredgecolor=color, markeredgewidth=thickness, **ring)


def _draw_signs(axes: Axes, days: Sequence[DayColumn]) -> None:
    """Marks skipped days, and other days with anomalies, above the map."""
    skipped = [index + 0.5 for index, day in enumerate(days) if day.use == "skipped"]
    flagged = [index + 0.5 for index, day in enumerate(days) if day.has_anomalies and day.use != "skipped"]
    for positions, marker, color in ((skipped, "x", VERMILION), (flagged, "^", ORANGE)):
        axes.plot(
            positions,
            np.full(len(positions), 1.0),
            transform=axes.get_xaxis_transform(),
            linestyle="none",
            marker=marker,
            markersize=5.5,
            markeredgewidth=1.5 if marker == "x" else 0,
            color=color,
            clip_on=False,
            zorder=7,
        )


def _set_day_axis(axes: Axes, names: Sequence[str], label: str, width: float) -> None:
    """Writes as many evenly spaced day names as fit."""
    labels = [shorten(name, 14) for name in names]
    label_width = max(_LETTER_WIDTH * max(map(len, labels)) + 8.0, 1.0)
    interval = max(int(np.ceil(label_width * len(names) / width)), 1)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([index + 0.5 for index in range(0, len(names), interval)], labels[::interval])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(shorten(label, 40))


def _draw_color_scale(axes: Axes) -> None:
    inner = [format_tick(shift) for shift in _LABELED_SHIFTS[1:-1]]
    draw_color_scale(
        axes,
        "shift",
        colors=_COLORS,
        limits=(-1.0, 1.0),
        ticks=scale_shifts(np.array(_LABELED_SHIFTS)).tolist(),
        labels=[f"≤ {format_tick(-LARGEST_SHIFT)}", *inner, f"≥ {format_tick(LARGEST_SHIFT)}"],
    )

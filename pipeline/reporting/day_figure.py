"""The figure of the log's days: the rows of each, and below them how far each column moved. A pure function of its arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from . import axis
from .days import LEAST, MOST
from .figures import BLUE, GREEN, NARROW, ORANGE, VERMILION, WIDE, shortened
from .svg import INK, MUTED, canvas, inline, settings

USES = {"training": BLUE, "holdout": GREEN, "skipped": VERMILION}
"""The colours of the days' bars; that of a day that was left out is hollow."""

# Blue for less and orange for more, told apart by all kinds of colour vision; what did not move is as light as in other maps.
_SCALE = LinearSegmentedColormap.from_list(
    "shift", ["#0b2a4a", "#2f79b0", "#a9cbe4", "#f1f3f6", "#f5c285", "#cf5f1d", "#5c1503"]
)
_LETTER = 5.0  # Mean width of a letter of a tick's text.
_BARS = 46.0
_TOP, _BOTTOM, _GAP = 24.0, 36.0, 22.0


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the map.

    Attributes:
      name: What it is of.
      shifts: In deviations of the days before, shape ``(D,)``; NaN where it is not known.
      flagged: The days on which a check found something there, by their place.
    """

    name: str
    shifts: np.ndarray
    flagged: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Column:
    """A day.

    Attributes:
      name: Short enough for an axis.
      rows: None when they are not known.
      use: One of :data:`USES`, or another word.
      found: Whether a check found anything on it.
    """

    name: str
    rows: float | None
    use: str
    found: bool


def draw_days(name: str, days: Sequence[Column], rows: Sequence[Row], *, label: str, wide: bool = False) -> str:
    """Bars of the days' rows over a map of shifts; either is left out where nothing of it is known.

    Args:
      name: Prefix of the figure's ids, another one for each figure of a page.
      days: From left to right; at least one.
      rows: From top to bottom.
      label: What the days' names stand for, below the axis.
      wide: Whether the figure spans the page.
    """
    known = any(day.rows is not None for day in days)
    width, right, each = (WIDE, 66.0, 17.0) if wide else (NARROW, 54.0, 28.0)
    # A phone has no room beside the rows: each has its name above it, from the figure's edge on.
    left = 205.0 if wide and rows else 8.0
    bars = _BARS if known else 0.0
    between = _GAP if known and rows else 0.0
    map_height = each * max(len(rows), 4) if rows else 0.0
    height = _TOP + bars + between + map_height + _BOTTOM
    with settings(name):
        figure = canvas(width, height)

        def place(top: float, tall: float, start: float, end: float) -> tuple[float, float, float, float]:
            return start / width, 1 - (top + tall) / height, (end - start) / width, tall / height

        drawn: list[Axes] = []
        if known:
            drawn.append(figure.add_axes(place(_TOP, bars, left, width - right)))
            _bars(drawn[-1], days)
        if rows:
            top = _TOP + bars + between
            drawn.append(figure.add_axes(place(top, map_height, left, width - right)))
            _map(drawn[-1], rows, len(days), wide)
            _rings(drawn[-1], rows, 0.5 if wide else 0.75, size=min(5.5, 0.75 * (width - right - left) / len(days)))
            _signs(drawn[-1], days)
            _scale_bar(figure.add_axes(place(top, map_height, width - right + 14, width - right + 23)))
        elif drawn:
            _signs(drawn[-1], days)
        for axes in drawn:
            axes.set_xlim(0, len(days))
            axes.set_xticks([])
        if drawn:
            _day_axis(drawn[-1], [day.name for day in days], label, width - right - left)
        shown = [*(["Rows of each day"] if known else []), *(["shift of each column by day"] if rows else [])]
        return inline(figure, name, " and ".join(shown))


def _bars(axes: Axes, days: Sequence[Column]) -> None:
    values = axis.drawable(np.array([day.rows or 0.0 for day in days]))
    for place, (day, value) in enumerate(zip(days, values, strict=True)):
        color = USES.get(day.use, MUTED)
        hollow = day.use == "skipped"
        axes.bar(
            place + 0.5,
            value,
            width=0.72,
            facecolor="none" if hollow else color,
            edgecolor=color,
            linewidth=0.9,
            zorder=3,
        )
    axes.set_ylim(0, float(values.max()) * 1.08 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(axis.label))
    # On the right, where the scale of the map is too: on a phone there is no room on the left.
    axes.yaxis.tick_right()
    axes.spines["left"].set_visible(False)
    axes.set_title("Rows", pad=6)


def _map(axes: Axes, rows: Sequence[Row], days: int, wide: bool) -> None:
    shades = np.array([scaled(row.shifts) for row in rows])
    if not wide:
        shades = np.stack([np.full_like(shades, np.nan), shades], axis=1).reshape(-1, days)
    axes.imshow(
        np.ma.masked_invalid(shades),
        cmap=_SCALE,
        vmin=-1.0,
        vmax=1.0,
        extent=(0, days, len(rows), 0),
        aspect="auto",
        interpolation="none",
    )
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    places = np.arange(len(rows))
    if wide:
        axes.hlines(places[1:], 0, days, color="white", linewidth=1.2)
        axes.set_yticks(places + 0.5, [shortened(row.name, 36) for row in rows])
    else:
        axes.set_yticks([])
        for place, row in enumerate(rows):
            axes.text(0, place + 0.42, shortened(row.name, 48), va="baseline", color=MUTED, fontsize=8.5)
    axes.vlines(np.arange(1, days), 0, len(rows), color="white", linewidth=1.2 if days <= 40 else 0.4)


def _rings(axes: Axes, rows: Sequence[Row], middle: float, size: float) -> None:
    """Around what a check found: a ring of light about a ring of ink, which is seen on every shade."""
    points = [(day + 0.5, place + middle) for place, row in enumerate(rows) for day in row.flagged]
    if not points:
        return
    x, y = np.array(points).T
    ring: dict[str, Any] = {
        "linestyle": "none",
        "marker": "o",
        "markersize": size,
        "markerfacecolor": "none",
        "zorder": 6,
    }
    for color, thick in (("white", size / 2), (INK, size / 5)):
        axes.plot(x, y, markeredgecolor=color, markeredgewidth=thick, **ring)


def _signs(axes: Axes, days: Sequence[Column]) -> None:
    """Above each day whether it was left out, or else whether anything was found."""
    left_out = [place + 0.5 for place, day in enumerate(days) if day.use == "skipped"]
    found = [place + 0.5 for place, day in enumerate(days) if day.found and day.use != "skipped"]
    across = axes.get_xaxis_transform()
    for places, marker, color in ((left_out, "x", VERMILION), (found, "^", ORANGE)):
        axes.plot(
            places,
            np.full(len(places), 1.0),
            transform=across,
            linestyle="none",
            marker=marker,
            markersize=5.5,
            markeredgewidth=1.5 if marker == "x" else 0,
            color=color,
            clip_on=False,
            zorder=7,
        )


def _day_axis(axes: Axes, names: Sequence[str], label: str, width: float) -> None:
    """As many of the names as have room, in even distances."""
    shown = [shortened(name, 14) for name in names]
    room = max(_LETTER * max(map(len, shown)) + 8.0, 1.0)
    every = max(int(np.ceil(room * len(names) / width)), 1)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([place + 0.5 for place in range(0, len(names), every)], shown[::every])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(shortened(label, 40))


def scaled(shifts: np.ndarray) -> np.ndarray:
    """Shifts on the map's scale, logarithmic from :data:`LEAST` (0) to :data:`MOST` (1), and the same for those downwards."""
    with np.errstate(divide="ignore", over="ignore"):
        sizes = np.log(np.abs(shifts) / LEAST) / np.log(MOST / LEAST)
    return np.sign(shifts) * np.clip(sizes, 0.0, 1.0)


def _scale_bar(axes: Axes) -> None:
    axes.imshow(
        np.linspace(1.0, -1.0, 129)[:, None],
        cmap=_SCALE,
        vmin=-1.0,
        vmax=1.0,
        extent=(0, 1, -1, 1),
        aspect="auto",
        interpolation="none",
    )
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    ticks = np.array([-MOST, -1.0, -0.1, 0.0, 0.1, 1.0, MOST])
    axes.yaxis.set_major_locator(FixedLocator(scaled(ticks).tolist()))
    inside = [axis.label(float(tick)) for tick in ticks[1:-1]]
    axes.set_yticklabels([f"≤ {axis.label(-MOST)}", *inside, f"≥ {axis.label(MOST)}"])
    axes.set_title("shift", loc="left", fontsize=8.5, fontweight="normal", color=MUTED, pad=8)
    for spine in axes.spines.values():
        spine.set_visible(False)

"""The report's figures: series of a run to SVG text. Pure functions of their arguments.

Each figure is drawn at the size at which it is read, a phone's or a page's width, so that its text stays legible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from . import axis
from .series import Series, lowest_in_slices, mean_by_step, pieces, thin
from .svg import INK, MUTED, canvas, inline, settings

NARROW = 360.0
"""Width of a panel in SVG units; a phone's width, or half a page's."""
WIDE = 750.0
"""Width of a figure that spans the page."""

# Okabe and Ito's palette, told apart by all kinds of colour vision; each role differs by form as well.
BLUE, NAVY, GREEN, ORANGE, VERMILION = "#3d8fc4", "#0b3c5d", "#009e73", "#d98200", "#c7400a"
ULTRAMARINE = "#2b39c4"
ROLES: dict[str, dict[str, Any]] = {
    "training": {"color": BLUE, "linewidth": 1.2, "zorder": 3},
    "largest": {"color": BLUE, "marker": "^", "markersize": 3.5, "linestyle": "none", "zorder": 3.5},
    "progressive": {"color": NAVY, "marker": "o", "markersize": 4, "linestyle": "none", "zorder": 5},
    "holdout": {"color": GREEN, "marker": "D", "markersize": 5, "linestyle": "none", "zorder": 6},
    "ceiling": {"color": INK, "linewidth": 1.0, "dashes": (5, 3), "zorder": 4},
    "chance": {"color": MUTED, "linewidth": 1.0, "dashes": (1, 2), "zorder": 4},
}
MEASURED = ("training", "progressive", "holdout")
"""The roles that show the run itself and count for what is not finite."""
REFERENCES = ("ceiling", "chance")
MARKS: dict[str, dict[str, Any]] = {
    "spike": {"color": MUTED, "dashes": (), "height": 0.06},
    "range": {"color": ORANGE, "dashes": (4, 2), "height": 1.0},
    # Wide enough to be seen beneath the mark of a rollback at the same step.
    "full": {"color": VERMILION, "dashes": (), "height": 1.0, "linewidth": 2.6},
    "rollback": {"color": ULTRAMARINE, "dashes": (6, 2, 1, 2), "height": 1.0},
    "note": {"color": MUTED, "dashes": (1, 2), "height": 1.0},
}
"""How the events of each severity are marked; ``height`` is the mark's share of the figure's."""
_SCALE = LinearSegmentedColormap.from_list(
    "clipping", ["#2d0a4e", "#7b2a75", "#cf5a5b", "#f3a65a", "#fbe3b5", "#f1f3f6"]
)
_LAYERS = 40
# A hundredth of a step and less is darkest: with one scale for all, two runs can be compared.
_BOTTOM = -2.0
_NOT_FINITE = "\N{MULTIPLICATION SIGN} not finite"


@dataclasses.dataclass(frozen=True)
class Curve:
    """One series of a figure.

    Attributes:
      role: ``training``, ``largest`` (of single steps), ``progressive``, ``holdout``, or a reference, ``ceiling`` or
        ``chance``.
      series: Its points. A reference holds from each of its steps to the next, and at the ends as far as the axis goes.
    """

    role: str
    series: Series


@dataclasses.dataclass(frozen=True)
class Mark:
    """An event in a figure.

    Attributes:
      step: Where it stands.
      severity: One of :data:`MARKS`.
      number: The number of its incident in the table, which is written above it; None for none.
    """

    step: float
    severity: str
    number: int | None = None


def curves(
    name: str,
    title: str,
    unit: str,
    drawn: Sequence[Curve],
    *,
    extent: float,
    marks: Sequence[Mark] = (),
    wide: bool = False,
    bounds: tuple[float | None, float | None] = (None, None),
) -> str:
    """Curves over the training step.

    The value axis is logarithmic where the values span orders of magnitude. Where a value is not finite its line breaks
    and a cross stands at the upper edge.

    Args:
      name: Prefix of the figure's ids, another one for each figure of a page.
      title: What the curves belong to, such as a task.
      unit: What the value axis counts, with its unit.
      drawn: The curves; empty series are left out.
      extent: Last step of the axis, above 0.
      marks: Vertical lines.
      wide: Whether the figure spans the page.
      bounds: Values that the axis must reach at least, below and above; None for whatever the values need.
    """
    width, height = (WIDE, 254.0) if wide else (NARROW, 219.0)
    with settings(name):
        figure = canvas(width, height)
        axes = figure.add_axes((56 / width, 38 / height, 1 - 68 / width, 1 - 70 / height))
        axes.set_title(title)
        thinned = [Curve(curve.role, thin(curve.series)) for curve in drawn if curve.series.steps.size]
        _value_axis(axes, thinned, bounds)
        _step_axis(axes, extent)
        axes.set_ylabel(unit)
        for curve in thinned:
            _draw(axes, curve, extent)
        _mark(axes, marks, extent, width)
        lost = [curve.series for curve in drawn if curve.role in MEASURED]
        _crosses(axes, lost, extent)
        if not any(curve.role in MEASURED for curve in thinned):
            axes.text(0.5, 0.5, "no values recorded", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return inline(figure, name, f"{title}: {unit} over the training step")


def heat_map(
    name: str,
    layers: dict[str, Series],
    *,
    extent: float,
    marks: Sequence[Mark] = (),
    wide: bool = False,
) -> str:
    """The smallest clipping factor of each layer over the training step, on a logarithmic scale.

    Args:
      name: Prefix of the figure's ids, another one for each figure of a page.
      layers: Factors by layer, from the top row to the bottom row. Of more than 40 layers the most clipped are drawn.
      extent: Last step of the axis, above 0.
      marks: Vertical lines.
      wide: Whether the figure spans the page.
    """
    shown = most_clipped(layers)
    slices = _slices(layers, extent, 180 if wide else 90)
    cut = [lowest_in_slices(layers[layer], extent, slices) for layer in shown]
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(np.array([np.maximum(lowest, 0) for lowest, _ in cut]))
    if wide:
        width, left, right, row = WIDE, 205.0, 66.0, 15.0
    else:
        # A phone has no room beside the rows: each has its name above it.
        width, left, right, row = NARROW, 8.0, 60.0, 26.0
        powers = np.stack([np.full_like(powers, np.nan), powers], axis=1).reshape(-1, slices)
    height = 66 + row * max(len(shown), 3)
    with settings(name):
        figure = canvas(width, height)
        axes = figure.add_axes((left / width, 38 / height, 1 - (left + right) / width, 1 - 66 / height))
        axes.imshow(
            np.ma.masked_invalid(np.maximum(powers, _BOTTOM)),
            cmap=_SCALE,
            vmin=_BOTTOM,
            vmax=0.0,
            extent=(0, extent, len(shown), 0),
            aspect="auto",
            interpolation="none",
        )
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        places = np.arange(len(shown))
        if wide:
            axes.hlines(places[1:], 0, extent, color="white", linewidth=1.2)
            axes.set_yticks(places + 0.5, [shortened(layer, 34) for layer in shown])
        else:
            axes.set_yticks([])
            for place, layer in enumerate(shown):
                axes.text(0, place + 0.44, shortened(layer, 52), va="baseline", color=MUTED, fontsize=8.5)
        _step_axis(axes, extent)
        _mark(axes, marks, extent, width)
        _broken_cells(axes, [broken for _, broken in cut], extent, 0.5 if wide else 0.75)
        _scale_bar(figure.add_axes((1 - (right - 14) / width, 38 / height, 9 / width, 1 - 66 / height)))
        return inline(figure, name, "Smallest clipping factor of each layer over the training step")


def _slices(layers: dict[str, Series], extent: float, most: int) -> int:
    """At most so many slices, of which a whole number makes up a publication where publications follow one another evenly."""
    steps = np.unique(np.concatenate([series.steps for series in layers.values()]))
    every = steps[0] if steps.size else 0.0
    if every <= 0 or np.any(steps % every) or extent % every or extent / every > most:
        return most
    publications = int(extent / every)
    return publications * (most // publications)


def most_clipped(layers: dict[str, Series]) -> list[str]:
    """The layers that a heat map draws, in their order: all of them, or the 40 with the smallest factors."""
    if len(layers) <= _LAYERS:
        return list(layers)

    def smallest(layer: str) -> float:
        values = layers[layer].values
        return float(np.min(np.where(np.isfinite(values), values, -1.0), initial=1.0))

    chosen = set(sorted(layers, key=smallest)[:_LAYERS])
    return [layer for layer in layers if layer in chosen]


def _step_axis(axes: Axes, extent: float) -> None:
    axes.set_xlim(0, extent)
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(axis.label))


def _value_axis(axes: Axes, drawn: Sequence[Curve], bounds: tuple[float | None, float | None]) -> None:
    values = [axis.drawable(curve.series.values[curve.series.finite]) for curve in drawn]
    needed = np.concatenate([*values, [bound for bound in bounds if bound is not None]])
    if not needed.size:
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    scale = axis.scale_for(needed)
    low, high = axis.limits(needed, scale, bounds)
    if scale == "linear":
        axes.set_ylim(low, high)
        axes.set_yticks(*axis.round_ticks(low, high))
        return
    if scale == "log":
        axes.set_yscale("log")
        # Within few decades, 2 and 5 are marked as well.
        subs = (1.0,) if np.log10(high / low) > 2.5 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    else:
        axes.set_yscale("symlog", linthresh=axis.linear_part(needed))
    # A scale brings ticks of its own, which are written as formulas.
    axes.yaxis.set_major_formatter(FuncFormatter(axis.label))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, high)


def _draw(axes: Axes, curve: Curve, extent: float) -> None:
    look = ROLES[curve.role]
    if curve.role in REFERENCES:
        known = mean_by_step(curve.series)
        if known.steps.size:
            steps = np.concatenate([[0.0], known.steps[1:], [extent]])
            values = axis.drawable(np.append(known.values, known.values[-1]))
            axes.plot(steps, values, drawstyle="steps-post", **look)
        return
    for piece in pieces(curve.series):
        values = axis.drawable(piece.values)
        # A value between two that are not finite has no line to stand on.
        alone = {"marker": ".", "markersize": 5} if "marker" not in look and piece.steps.size == 1 else {}
        axes.plot(piece.steps, values, clip_on="marker" not in look, **(look | alone))


def _mark(axes: Axes, marks: Sequence[Mark], extent: float, width: float) -> None:
    for severity, look in MARKS.items():
        steps = sorted({mark.step for mark in marks if mark.severity == severity})
        dash = (0, look["dashes"]) if look["dashes"] else "solid"
        axes.vlines(
            steps,
            0,
            look["height"],
            transform=axes.get_xaxis_transform(),
            color=look["color"],
            linestyle=dash,
            linewidth=look.get("linewidth", 1.2),
            zorder=2.5,
        )
    # Each number stands once, and numbers that would stand on one another are joined.
    groups: list[list[Mark]] = []
    for mark in _first_of_each_number(marks):
        if groups and (mark.step - groups[-1][-1].step) / extent < 14 / width:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    for group in groups:
        numbers = sorted({mark.number for mark in group if mark.number is not None})
        text = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}\N{EN DASH}{numbers[-1]}"
        middle = (group[0].step + group[-1].step) / 2
        axes.text(
            middle, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=MUTED, fontsize=8
        )


def _first_of_each_number(marks: Sequence[Mark]) -> list[Mark]:
    numbered: dict[int, Mark] = {}
    for mark in sorted(marks, key=lambda mark: mark.step):
        if mark.number is not None:
            numbered.setdefault(mark.number, mark)
    return list(numbered.values())


def _crosses(axes: Axes, drawn: Sequence[Series], extent: float) -> None:
    steps = np.concatenate([series.steps[~series.finite] for series in drawn]) if drawn else np.empty(0)
    if not steps.size:
        return
    # Crosses that would cover one another say no more than one of them.
    places = np.unique(np.round(steps / extent * 60) / 60 * extent)
    axes.plot(
        np.clip(places, 0, extent),
        np.full(len(places), 0.965),
        transform=axes.get_xaxis_transform(),
        linestyle="none",
        marker="x",
        markersize=5,
        markeredgewidth=1.3,
        color=VERMILION,
        clip_on=False,
        zorder=7,
    )
    total = sum(series.steps.size for series in drawn)
    axes.set_title(
        f"{_NOT_FINITE}: {steps.size:,} of {total:,}", loc="right", color=VERMILION, fontsize=8.5, fontweight="normal"
    )


def _broken_cells(axes: Axes, broken: Sequence[np.ndarray], extent: float, middle: float) -> None:
    """A cross in every cell group, of three slices, in which a factor was not finite."""
    width = 3
    points = {
        ((place // width + 0.5) * width * extent / len(row), rank + middle)
        for rank, row in enumerate(broken)
        for place in np.flatnonzero(row)
    }
    if points:
        x, y = np.array(sorted(points)).T
        axes.plot(x, y, linestyle="none", marker="x", markersize=4, markeredgewidth=1.2, color=VERMILION, zorder=7)
        axes.set_title(_NOT_FINITE, loc="right", color=VERMILION, fontsize=8.5, fontweight="normal")


def _scale_bar(axes: Axes) -> None:
    axes.imshow(
        np.linspace(0.0, _BOTTOM, 64)[:, None],
        cmap=_SCALE,
        vmin=_BOTTOM,
        vmax=0.0,
        extent=(0, 1, _BOTTOM, 0),
        aspect="auto",
        interpolation="none",
    )
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    factors = (1.0, 0.3, 0.1, 0.03, 0.01)
    axes.yaxis.set_major_locator(FixedLocator([float(np.log10(factor)) for factor in factors]))
    axes.set_yticklabels([*(axis.label(factor) for factor in factors[:-1]), f"≤ {axis.label(factors[-1])}"])
    axes.set_title("factor", loc="left", fontsize=8.5, fontweight="normal", color=MUTED, pad=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def shortened(text: str, letters: int) -> str:
    """``text`` without its middle where it is too long: what tells names apart stands at both ends."""
    if len(text) <= letters:
        return text
    head = (letters - 1) // 2
    return f"{text[:head]}…{text[-(letters - 1 - head) :]}"

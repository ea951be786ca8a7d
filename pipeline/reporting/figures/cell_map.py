"""Maps of colored cells: the cells, the name of each row, and the color scale beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.ticker import FixedLocator

from .palette import MUTED


def draw_cells(
    axes: Axes,
    shades: np.ndarray,
    names: Sequence[str],
    *,
    colors: Colormap,
    limits: tuple[float, float],
    extent: float,
    wide: bool,
) -> None:
    """Draws rows of cells with the name of each row, the first row at the top.

    On a wide figure, the names are to the left of the rows. A phone has no room there, so each row has two parts: its
      name above
    its cells.

    Args:
      axes: Empty axes.
      shades: One value per cell, shape ``(rows, columns)``; NaN for no color.
      names: The rows' names.
      colors: The color map.
      limits: The shades of the color map's ends.
      extent: Right end of the horizontal axis.
      wide: Whether the figure spans the page.
    """
    if not wide:
        shades = np.stack([np.full_like(shades, np.nan), shades], axis=1).reshape(-1, shades.shape[1])
    _draw_image(axes, shades, colors, limits, (0, extent, len(names), 0))
    rows = np.arange(len(names))
    if wide:
        axes.hlines(rows[1:], 0, extent, color="white", linewidth=1.2)
        axes.set_yticks(rows + 0.5, [shorten(name, 35) for name in names])
    else:
        axes.set_yticks([])
        for row, name in enumerate(names):
            axes.text(0, row + 0.43, shorten(name, 48), va="baseline", color=MUTED, fontsize=8.5)


def draw_color_scale(
    axes: Axes,
    title: str,
    *,
    colors: Colormap,
    limits: tuple[float, float],
    ticks: Sequence[float],
    labels: Sequence[str],
) -> None:
    """Draws the color scale of a map.

    Args:
      axes: Empty, narrow axes beside the map.
      title: What the shades measure.
      colors: The color map.
      limits: The shades of the color map's ends; the upper end is drawn at the top.
      ticks: Shades that get a label.
      labels: The labels.
    """
    low, high = limits
    _draw_image(axes, np.linspace(high, low, 129)[:, None], colors, limits, (0, 1, low, high))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
    axes.set_yticklabels(labels)
    axes.set_title(title, loc="left", fontsize=8.5, fontweight="normal", color=MUTED, pad=8)


def shorten(text: str, letters: int) -> str:
    """Removes the middle of a text that is too long, because names usually differ at their ends.

    Example:
    >>> shorten("tower_watch_time/layer_0", 13)
    'tower_…ayer_0'
    """
    if len(text) <= letters:
        return text
    head = (letters - 1) // 2
    return f"{text[:head]}…{text[-(letters - 1 - head) :]}"


def _draw_image(
    axes: Axes,
    shades: np.ndarray,
    colors: Colormap,
    limits: tuple[float, float],
    extent: tuple[float, float, float, float],
) -> None:
    axes.imshow(
        np.ma.masked_invalid(shades),
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        extent=extent,
        aspect="auto",
        interpolation="none",
    )
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)

"""Converts a matplotlib figure to inline SVG text for an HTML page with several figures.

Equal figures give equal text. The text contains no web address and shares no id with other figures of the page.
"""

from __future__ import annotations

import contextlib
import html
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from .palette import GRID, INK, MUTED

_SETTINGS: dict[Any, Any] = {
    # Keep text as text, so that readers can search and copy it in the page's font.
    "svg.fonttype": "none",
    # Names of tasks and layers are not formulas, even if they contain "$".
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#aab2bd",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 14,  # Room for the incident numbers.
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#aab2bd",
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": "#aab2bd",
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "lines.solid_joinstyle": "round",
}
_HEAD = re.compile(r'^.*?<svg[^>]*?viewBox="(?P<box>[^"]*)"[^>]*>', re.DOTALL)
# Matplotlib's style sheet would apply to the whole page, and nothing on the page uses its metadata and group ids.
_NOISE = re.compile(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_PATH = re.compile(r' d="([^"]*)"')
_DECIMALS, _TWO_DECIMALS = re.compile(r"(\.\d\d)\d+"), r"\1"
# Text between tags never holds "<" or ">", so this matches tags only.
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'xlink:href="#([^"]*)"')
_CLIP = re.compile(r"url\(#([^)]*)\)")
_DATA = re.compile(r'xlink:href="data:([^"]*)"')


@contextlib.contextmanager
def figure_settings(name: str) -> Iterator[None]:
    """Sets matplotlib's settings for the figure called ``name``, and restores the caller's settings afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        # Without a salt, matplotlib chooses ids at random.
        matplotlib.rcParams["svg.hashsalt"] = name
        yield


def make_canvas(width: float, height: float) -> Figure:
    """Makes an empty figure of ``width`` x ``height`` SVG units, without pyplot and its global state."""
    figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def to_inline_svg(figure: Figure, name: str, description: str) -> str:
    """Converts a figure to one ``<svg>`` element that fills the width of its container.

    Args:
      figure: A figure made by :func:`make_canvas` within :func:`figure_settings`.
      name: Prefix of all ids: letters, digits and hyphens, unique within the page.
      description: A description for screen readers.

    Raises:
      RuntimeError: If matplotlib writes an SVG without a viewBox.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser renders the text in the page's font, so missing glyphs in matplotlib's font do not matter.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    head = _HEAD.match(text)
    if head is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox; use matplotlib 3.8 or newer")
    body = _TAG.sub(lambda tag: _rewrite_tag(tag[0], name), _NOISE.sub("", text[head.end() :]))
    body = re.sub(r">\s+<", "><", body).strip()
    label = html.escape(description, quote=True)
    return f'<svg viewBox="{head["box"]}" role="img" aria-label="{label}">{body}'


def _rewrite_tag(tag: str, name: str) -> str:
    """Adds the figure's prefix to a tag's ids, rounds its coordinates to two decimals and drops the namespace of its links."""
    tag = _GROUP_ID.sub("<g", tag)
    tag = _ID.sub(rf' id="{name}-\1"', tag)
    tag = _REFERENCE.sub(rf'href="#{name}-\1"', tag)
    tag = _CLIP.sub(rf"url(#{name}-\1)", tag)
    tag = _DATA.sub(lambda link: 'href="data:' + re.sub(r"\s", "", link[1]) + '"', tag)
    return _PATH.sub(lambda path: f' d="{_DECIMALS.sub(_TWO_DECIMALS, path[1])}"'.replace("\n", " "), tag)

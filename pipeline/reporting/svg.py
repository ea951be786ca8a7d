"""A matplotlib figure as SVG text that can stand inside an HTML page, together with others.

The text is the same for the same figure, holds no address, and shares no id with another figure of the page.
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

INK = "#1c2330"
MUTED = "#5b6472"
GRID = "#e6e9ee"

_SETTINGS: dict[Any, Any] = {
    # Text stays text: it can be searched and copied, and takes the page's font.
    "svg.fonttype": "none",
    # Names of tasks and layers are no formulas, whatever signs they hold.
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
    "axes.titlepad": 14,  # Below it stand the numbers of the events.
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
# Matplotlib's style sheet would apply to the whole page; its metadata and its groups' ids serve nobody here.
_NOISE = re.compile(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_PATH = re.compile(r' d="([^"]*)"')
_DECIMALS, _TWO = re.compile(r"(\.\d\d)\d+"), r"\1"
# Text may stand between tags and hold anything but "<" and ">", so that only the tags themselves are touched.
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'xlink:href="#([^"]*)"')
_CLIP = re.compile(r"url\(#([^)]*)\)")
_DATA = re.compile(r'xlink:href="data:([^"]*)"')


@contextlib.contextmanager
def settings(name: str) -> Iterator[None]:
    """Matplotlib's settings for the figure called ``name``; those of the caller come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        # Without a salt of its own, matplotlib draws ids at random.
        matplotlib.rcParams["svg.hashsalt"] = name
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` SVG units, without pyplot and its global state."""
    figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def inline(figure: Figure, name: str, description: str) -> str:
    """The figure as one ``<svg>`` element that takes the width it is given.

    Args:
      figure: A figure made by :func:`canvas` under :func:`settings`.
      name: Prefix of all ids: letters, digits and hyphens, another one for each figure of a page.
      description: What the figure shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser writes the text, in a font of its own that has what matplotlib's may lack.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    head = _HEAD.match(text)
    if head is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox; use a matplotlib from 3.8 on")
    body = _TAG.sub(lambda tag: _own(tag[0], name), _NOISE.sub("", text[head.end() :]))
    body = re.sub(r">\s+<", "><", body).strip()
    label = html.escape(description, quote=True)
    return f'<svg viewBox="{head["box"]}" role="img" aria-label="{label}">{body}'


def _own(tag: str, name: str) -> str:
    """One tag with the figure's prefix in its ids, coordinates of two decimals, and links without a namespace."""
    tag = _GROUP_ID.sub("<g", tag)
    tag = _ID.sub(rf' id="{name}-\1"', tag)
    tag = _REFERENCE.sub(rf'href="#{name}-\1"', tag)
    tag = _CLIP.sub(rf"url(#{name}-\1)", tag)
    tag = _DATA.sub(lambda link: 'href="data:' + re.sub(r"\s", "", link[1]) + '"', tag)
    return _PATH.sub(lambda path: f' d="{_DECIMALS.sub(_TWO, path[1])}"'.replace("\n", " "), tag)

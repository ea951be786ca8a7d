"""Colors, line styles and widths of the figures.

The colors follow Okabe and Ito (*Color Universal Design*, 2008), so that people with any kind of color vision can
distinguish them. Each role also has its own line style or marker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from ..analysis.incidents import Severity

INK = "#1c2330"
MUTED = "#5b6472"
GRID = "#e6e9ee"
BLUE, NAVY, GREEN, ORANGE, VERMILION = "#3d8fc4", "#0b3c5d", "#009e73", "#d98200", "#c7400a"
ULTRAMARINE = "#2b39c4"

NARROW = 360.0
"""Width of a panel in SVG units: the width of a phone, or half the width of a page."""
WIDE = 750.0
"""Width of a figure that spans the page."""

Role = Literal["training", "peak", "progressive", "holdout", "ceiling", "chance"]
"""The kind of curve. ``peak``: losses of single steps; ``progressive`` and ``holdout``: kinds of evaluation."""

MEASURED: tuple[Role, ...] = ("training", "progressive", "holdout")
"""The roles that show the run itself. Figures count their values that are not finite."""
REFERENCES: tuple[Role, ...] = ("ceiling", "chance")


@dataclasses.dataclass(frozen=True)
class CurveStyle:
    """The style of a curve: a line, dashed if ``dashes`` is set, or markers without a line."""

    color: str
    zorder: float
    linewidth: float = 1.0
    dashes: tuple[int, ...] = ()
    marker: str = ""
    markersize: float = 0.0

    def to_matplotlib(self) -> dict[str, Any]:
        """Returns the arguments for ``Axes.plot``."""
        if self.marker:
            form = {"marker": self.marker, "markersize": self.markersize, "linestyle": "none"}
        else:
            form = {"linewidth": self.linewidth} | ({"dashes": self.dashes} if self.dashes else {})
        return {"color": self.color, "zorder": self.zorder, **form}


@dataclasses.dataclass(frozen=True)
class MarkStyle:
    """The style of an event's vertical mark; ``height`` is a share of the figure's height."""

    color: str
    dashes: tuple[int, ...] = ()
    height: float = 1.0
    linewidth: float = 1.2


CURVE_STYLES: Mapping[Role, CurveStyle] = {
    "training": CurveStyle(BLUE, 3, linewidth=1.2),
    "peak": CurveStyle(BLUE, 3.5, marker="^", markersize=3.5),
    "progressive": CurveStyle(NAVY, 5, marker="o", markersize=4),
    "holdout": CurveStyle(GREEN, 6, marker="D", markersize=5),
    "ceiling": CurveStyle(INK, 4, dashes=(5, 3)),
    "chance": CurveStyle(MUTED, 4, dashes=(1, 2)),
}
MARK_STYLES: Mapping[Severity, MarkStyle] = {
    "spike": MarkStyle(MUTED, height=0.06),
    "range": MarkStyle(ORANGE, dashes=(4, 2)),
    # Wide enough to be visible below the mark of a rollback at the same step.
    "full": MarkStyle(VERMILION, linewidth=2.6),
    "rollback": MarkStyle(ULTRAMARINE, dashes=(6, 2, 1, 2)),
    "note": MarkStyle(MUTED, dashes=(1, 2)),
}

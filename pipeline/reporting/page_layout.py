"""The HTML building blocks of the page: sections, tables, figures, legends and badges.

A function that takes *text* escapes it; one that takes *HTML* expects its caller to have used :func:`escape`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Literal, Protocol

Tone = Literal["good", "warn", "bad", "calm"]
"""Color and icon of a badge."""

_ICONS: dict[Tone, str] = {
    "good": '<circle cx="8" cy="8" r="7"/><path d="M4.8 8.3l2.3 2.3 4.2-4.7"/>',
    "warn": '<path d="M8 1.6L15 14H1z"/><path d="M8 6.2v3.9M8 11.6v.9"/>',
    "bad": '<path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z"/><path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"/>',
    "calm": '<circle cx="8" cy="8" r="7"/><path d="M8 7.2v4.3M8 4.3v1"/>',
}


class DrawFigure(Protocol):
    """Draws a figure as SVG, for a page or for a phone."""

    def __call__(self, *, name: str, wide: bool) -> str:
        """Returns the SVG; ``name`` is the prefix of its ids."""


def escape(value: Any) -> str:
    """Converts a value to text that is safe anywhere in HTML, including attributes."""
    return html.escape(str(value), quote=True)


def make_section(title: str, content: str) -> str:
    """Makes a section of the page from a title (text) and its content (HTML)."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def make_paragraph(text: str, css_class: str = "") -> str:
    """Makes a paragraph of text; empty for an empty text."""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""


def make_details(summary: str, content: str) -> str:
    """Makes a collapsed part that the reader can open, from a summary (text) and its content (HTML)."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def make_table(heads: Sequence[str], rows: Sequence[str], css_class: str) -> str:
    """Makes a table from heads and rows (HTML)."""
    head = "".join(f'<th scope="col">{title}</th>' for title in heads)
    # The frame scrolls on a narrow page, so it must accept keyboard focus.
    return (
        f'<div class="scroll" tabindex="0"><table class="{css_class}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def make_number_cell(text: str, remark: str = "") -> str:
    """Makes a table cell that holds a number, with an optional remark below it (both text)."""
    small = f"<small>{escape(remark)}</small>" if remark else ""
    return f'<td class="number">{escape(text)}{small}</td>'


def make_panels(figures: Sequence[str]) -> str:
    """Places panels (SVG) two in a row if the page is wide enough; empty without panels."""
    panels = "".join(f"<figure>{figure}</figure>" for figure in figures)
    return f'<div class="panels">{panels}</div>' if figures else ""


def make_responsive_figure(draw: DrawFigure, name: str) -> str:
    """Draws a figure twice, for a page and for a phone. The style sheet shows one of the two."""
    return "".join(
        f'<figure class="{size}">{draw(name=f"{name}-{size}", wide=size == "wide")}</figure>'
        for size in ("wide", "narrow")
    )


def make_legend(entries: Sequence[tuple[str, str]]) -> str:
    """Makes a legend from pairs of an SVG shape, drawn in a box of 30 x 12, and its meaning (text)."""
    items = "".join(
        f'<li><svg viewBox="0 0 30 12" aria-hidden="true">{shape}</svg>{escape(meaning)}</li>'
        for shape, meaning in entries
    )
    return f'<ul class="legend">{items}</ul>' if entries else ""


def make_badge(tone: Tone, text: str, *, minor: bool = False) -> str:
    """Makes a badge: a short text with an icon, in the colors of its tone."""
    icon = (
        '<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">'
        f"{_ICONS[tone]}</svg>"
    )
    return f'<span class="badge {tone}{" minor" * minor}">{icon}{escape(text)}</span>'

"""What the sections of the page share: their frame, and the frames of their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def section(title: str, content: str) -> str:
    """A section of the page."""
    return f"<section><h2>{title}</h2>{content}</section>"


def side_by_side(drawn: Sequence[str]) -> str:
    """Figures of a panel's size, two in a row where the page is wide enough; nothing for none."""
    return f'<div class="panels">{"".join(f"<figure>{text}</figure>" for text in drawn)}</div>' if drawn else ""


def both(draw: Callable[..., str], name: str) -> str:
    """A figure that spans the page, and the same drawn for a phone; the style sheet shows one of them."""
    return "".join(
        f'<figure class="{size}">{draw(name=f"{name}-{size}", wide=size == "wide")}</figure>'
        for size in ("wide", "narrow")
    )

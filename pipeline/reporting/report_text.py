"""Formats numbers and plain values for the report.

Durations, percentages and plurals are in :mod:`~steadyrank.foundation.formatting`, which other packages use as well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from .analysis.numbers import is_number, to_float
from .analysis.scores import TaskScore

UNKNOWN = "\N{EN DASH}"
"""Written in place of an unknown value."""

# Shortens Python's 8e+09 to 8e9.
_EXPONENT = re.compile(r"e\+?(-?)0*")
# Shares of the gap outside of this range say only that something is badly wrong.
_LOWEST_SHARE, _HIGHEST_SHARE = -1.0, 10.0


def format_count(value: Any) -> str:
    """Formats a whole number with thousands separators; anything that is not a number becomes an en dash.

    Example:
    >>> format_count(65536), format_count(float("nan"))
    ('65,536', 'not finite')
    """
    if not is_number(value):
        return UNKNOWN
    return f"{to_float(value):,.0f}" if math.isfinite(to_float(value)) else "not finite"


def format_decimal(value: float | None, places: int | None = None) -> str:
    """Formats a number.

    Args:
      value: The number; None becomes an en dash.
      places: Number of decimals; by default four significant digits.

    Example:
    >>> format_decimal(0.73125, 4), format_decimal(0.583), format_decimal(8e9)
    ('0.7312', '0.5830', '8e9')
    """
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return f"not finite ({value})"
    if places is not None:
        text = f"{value:.{places}f}"
    else:
        # Trailing zeros are significant digits too, as long as no exponent is needed.
        text = f"{value:#.4g}".rstrip(".") if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"
    return _EXPONENT.sub(r"e\1", text).replace("-", "\N{MINUS SIGN}")


def format_score(score: TaskScore, value: float | None) -> str:
    """Formats a value of a score: an AUC with four decimals, an RMSE with four significant digits."""
    return format_decimal(value, 4 if score.measure == "AUC" else None)


def format_gap_share(share: float) -> str:
    """Formats a share of the gap between chance and the ceiling, which may be negative or above 1.

    Example:
    >>> format_gap_share(0.934), format_gap_share(-1e9)
    ('93%', 'off the scale')
    """
    if not _LOWEST_SHARE <= share <= _HIGHEST_SHARE:
        return "off the scale"
    return f"{100 * share:.0f}%".replace("-", "\N{MINUS SIGN}")


def format_steps(first: float, last: float) -> str:
    """Formats a range of steps, or a single step.

    Example:
    >>> format_steps(257, 288), format_steps(1000, 1000)
    ('257\u2013288', '1,000')
    """
    return format_count(first) if first == last else f"{format_count(first)}\N{EN DASH}{format_count(last)}"


def format_plain(value: Any) -> str:
    """Formats a value of a configuration or an event: lists with commas, dicts as ``name: value``, booleans as in JSON.

    Example:
    >>> format_plain({"layers": [64, 32], "explain": True})
    'layers: 64, 32, explain: true'
    """
    if value is None or value == "" or (isinstance(value, (list, tuple, dict)) and not value):
        return UNKNOWN
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)) if math.isfinite(value) else f"not finite ({value})"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {format_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(format_plain(item) for item in value)
    return str(value)


def capitalize_first(text: str) -> str:
    """Capitalizes the first letter and leaves the others as they are, unlike :meth:`str.capitalize`."""
    return text[:1].upper() + text[1:]

"""Checks and converts values from a run's files, which may be missing, a string, NaN or too large for a float."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether ``value`` is a number. NaN and infinity are; booleans are not.

    Example:
    >>> is_number(float("nan")), is_number(True), is_number("3")
    (True, False, False)
    """
    return isinstance(value, (float, int, np.number)) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Returns whether ``value`` is a number other than NaN and infinity."""
    return is_number(value) and math.isfinite(to_float(value))


def to_float(value: float) -> float:
    """Converts a number to a float; an integer that is too large for one becomes infinite.

    Example:
    >>> to_float(10**400)
    inf
    """
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

"""Converts NaN and infinity, for which JSON has no numbers, to strings and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json_value(value: Any) -> Any:
    """Converts a value to the plain types of JSON.

    Mappings, lists and tuples are converted item by item. Numbers that are not finite become ``"NaN"``, ``"Infinity"``
    or ``"-Infinity"``, which every JSON reader accepts.

    Raises:
      TypeError, ValueError: If a value cannot be converted.

    Example:
    >>> to_json_value({"loss": float("nan"), "rows": 3})
    {'loss': 'NaN', 'rows': 3}
    """
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def from_json_value(value: Any) -> Any:
    """Converts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` back to numbers, at any depth; inverts :func:`to_json_value`.

    Example:
    >>> from_json_value({"loss": "Infinity"})
    {'loss': inf}
    """
    if isinstance(value, Mapping):
        return {key: from_json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json_value(item) for item in value]
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    return value

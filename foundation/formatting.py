"""Durations, percentages, counts, lists and error messages as text."""

from __future__ import annotations

from collections.abc import Sequence


def format_duration(seconds: float) -> str:
    """Formats seconds with the two largest units.

    Example:
    >>> format_duration(42), format_duration(200), format_duration(7500)
    ('42 s', '3 min 20 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def format_percent(share: float) -> str:
    """Formats a share as a percentage, with decimals only where a small share needs them.

    Example:
    >>> format_percent(0.34), format_percent(0.008), format_percent(0.0002), format_percent(1e-6)
    ('34%', '0.8%', '0.02%', 'less than 0.01%')
    """
    percent = 100 * share
    if not 0 < percent < 9.95:
        return f"{percent:.0f}%"
    if percent < 0.01:
        return "less than 0.01%"
    return f"{percent:.{1 if percent >= 0.095 else 2}f}%"


def join_words(words: Sequence[str]) -> str:
    """Joins words as English does.

    Example:
    >>> join_words(["a"]), join_words(["a", "b"]), join_words(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def pluralize(count: int, noun: str, plural: str = "") -> str:
    """Formats a count with its noun.

    Args:
      count: The number of things.
      noun: The singular.
      plural: The plural, if it is irregular.

    Example:
    >>> pluralize(1, "row"), pluralize(1200, "row"), pluralize(2, "anomaly", "anomalies")
    ('1 row', '1,200 rows', '2 anomalies')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the error's type if it has no message."""
    return str(error).splitlines()[0] if str(error).strip() else type(error).__name__

"""Reads the time in the name of a day, such as ``day=2026-11-01`` or ``year=2026/month=11/day=1``.

Logs name their days in many spellings. :func:`parse_date` reads one value, and :func:`parse_day` the name of a day,
which may consist of several folders.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import urllib.parse
from typing import Literal

Unit = Literal["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
UNITS: tuple[Unit, ...] = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
"""The units of time, the longest first."""

_YEARS = range(1900, 2200)
_CLOCK = (
    r"(?P<hour>\d{2})(?:[:_-]?(?P<minute>\d{2})(?:[:_-]?(?P<second>\d{2})(?:\.\d+)?)?)?(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
_DATES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(?P<year>\d{{4}})([-_./])(?P<month>\d{{1,2}})(?:\2(?P<day>\d{{1,2}})(?:[T _-]{_CLOCK})?)?",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?:(?P<day>\d{{2}})(?:[T _-]?{_CLOCK})?)?",
    )
)
_WEEK = re.compile(r"(\d{4})-?W(\d{1,2})", re.ASCII)
# The words for a unit of time in the key of a folder.
_UNIT_WORDS: dict[str, Unit] = {
    **dict.fromkeys(("year", "yyyy", "yr", "y"), "year"),
    **dict.fromkeys(("quarter", "qtr"), "quarter"),
    **dict.fromkeys(("month", "mm", "mon", "m"), "month"),
    **dict.fromkeys(("week", "ww", "wk"), "week"),
    **dict.fromkeys(("day", "dd", "d"), "day"),
    **dict.fromkeys(("hour", "hh", "hr", "h"), "hour"),
    **dict.fromkeys(("minute", "mi"), "minute"),
}
_RANGES = {
    "year": _YEARS,
    "quarter": range(1, 5),
    "month": range(1, 13),
    "week": range(54),
    "day": range(1, 367),
    "hour": range(25),
    "minute": range(60),
}
_TIME_WORDS = {"date", "day", "dt", "ds", "datetime", "time", "timestamp", "ts", "period", "datestr", "partitiontime"}
_NO_TIME_WORDS = {"update", "candidate", "validate", "mandate"}


@dataclasses.dataclass(frozen=True)
class Date:
    """A date or a time of any precision.

    Attributes:
      start: The first moment, in UTC.
      unit: The precision.
      spelling: How it is written: the text with ``0`` for each number.
    """

    start: datetime.datetime
    unit: Unit
    spelling: str


def parse_date(text: str) -> Date | None:
    """Reads a date in a usual spelling; None if the text is not one. The year comes first.

    Example:
    >>> date = parse_date("20261101")
    >>> date.start.isoformat(), date.unit
    ('2026-11-01T00:00:00+00:00', 'day')
    >>> [parse_date(text).unit for text in ("2026-11", "2026-W45", "2026-11-01T05", "2026-11-01 05:00:00")]
    ['month', 'week', 'hour', 'second']
    >>> parse_date("01-11-2026"), parse_date("17")
    (None, None)
    """
    spelling = re.sub(r"\d+", "0", re.sub(r"(:\d{2})\.\d+", r"\1", text))
    week = _WEEK.fullmatch(text)
    try:
        if week:
            start = datetime.datetime.fromisocalendar(int(week[1]), int(week[2]), 1)
            return Date(start.replace(tzinfo=datetime.timezone.utc), "week", spelling)
        match = next(filter(None, (pattern.fullmatch(text) for pattern in _DATES)), None)
        if match is None or int(match["year"]) not in _YEARS:
            return None
        parts = {name: int(match[name]) for name in UNITS if name in match.groupdict() and match[name]}
        start = datetime.datetime(**{"day": 1} | parts, tzinfo=_parse_zone(match["zone"]))
    except ValueError:
        # A number out of range, such as month 13.
        return None
    return Date(start.astimezone(datetime.timezone.utc), max(parts, key=UNITS.index), spelling)


def find_unit(key: str) -> Unit | None:
    """Returns the unit of time that a folder's key names, or None.

    Example:
    >>> find_unit("month"), find_unit("event_year"), find_unit("country"), find_unit("day_of_week")
    ('month', 'year', None, None)
    """
    words = _split_words(key)
    return None if "of" in words else _UNIT_WORDS.get(words[-1]) if len(words[-1]) > 1 or len(words) == 1 else None


def is_in_unit(number: int, unit: Unit) -> bool:
    """Whether a number can be one of the months of a year, the days of a month or year, and so on."""
    return number in _RANGES[unit]


def is_time_key(key: str) -> bool:
    """Whether a folder's key says that its values are times or the numbers of periods.

    Example:
    >>> [is_time_key(key) for key in ("dt", "event_date", "logdate", "eventTime", "country", "day_of_week")]
    [True, True, True, True, False, False]
    """
    words = _split_words(key)
    if "of" in words:
        return False
    # A single letter alone may stand for anything.
    return (
        words[-1] in _TIME_WORDS
        or (words[-1].endswith("date") and words[-1] not in _NO_TIME_WORDS)
        or (len(key) > 1 and find_unit(key) is not None)
    )


def parse_day(name: str) -> float | None:
    """Reads the name of a day as a time in seconds or as a number; None if it is neither.

    Example:
    >>> parse_day("day=2026-11-01") == parse_day("year=2026/month=11/day=1") == parse_day("2026/11/01")
    True
    >>> parse_day("day=17"), parse_day("monday")
    (17.0, None)
    """
    values = [urllib.parse.unquote(part.rpartition("=")[2]) for part in name.split("/")]
    date = parse_date(values[-1]) or parse_date("-".join(values))
    if date is not None:
        return date.start.timestamp()
    return float(values[0]) if len(values) == 1 and re.fullmatch(r"\d{1,9}", values[0], re.ASCII) else None


def _split_words(key: str) -> list[str]:
    """Splits ``event_date`` and ``eventDate`` into lower-case words."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", words) if word] or [""]


def _parse_zone(text: str | None) -> datetime.timezone:
    if not text or text == "Z":
        return datetime.timezone.utc
    hours, minutes = int(text[:3]), int(text[-2:])
    return datetime.timezone(datetime.timedelta(hours=hours, minutes=minutes if hours >= 0 else -minutes))

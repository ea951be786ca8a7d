"""What the folders of a log mean: the levels of its folder tree, and which of them are time.

Writers such as Spark, pandas and BigQuery divide a log into folders named ``key=value``. Others use plain folders, such
as ``2026/11/01``. A level is the position of a folder in the path of a file.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any, NamedTuple

from ....foundation.formatting import pluralize
from ...config.errors import UserError
from ..day_names import UNITS, Unit, find_unit, is_in_unit, is_time_key, parse_date

_PARTITION = re.compile(r"([^/=]+)=([^/]*)")
# Hive, Spark, Impala, pyarrow and pandas write the first of these names for a missing value.
_NULL_VALUES = {"__HIVE_DEFAULT_PARTITION__", "__NULL__", "__UNPARTITIONED__", ""}
_NULL_TIMES = {"null", "none", "nan", "nat", "undefined"}
_MAX_LISTED = 3
_DATE_UNITS: tuple[Unit, ...] = ("year", "month", "day")
_DAY = UNITS.index("day")
NO_DAY_KEYS = "none"
"""The value of ``data.files.day_keys`` that turns folders of days off."""


class Folder(NamedTuple):
    """The name of one folder.

    Attributes:
      name: The name as it is on the disk.
      key: The key of ``key=value``; None for a plain folder.
      value: The value, without percent-encoding; None for a missing value.
    """

    name: str
    key: str | None
    value: str | None


def parse_folder(name: str) -> Folder:
    """Reads the name of a folder.

    Example:
    >>> parse_folder("day=2026-11-01%2005%3A00").value, parse_folder("day=__HIVE_DEFAULT_PARTITION__").value
    ('2026-11-01 05:00', None)
    """
    match = _PARTITION.fullmatch(name)
    if match is None:
        return Folder(name, None, urllib.parse.unquote(name))
    value = urllib.parse.unquote(match[2])
    return Folder(name, urllib.parse.unquote(match[1]), None if value in _NULL_VALUES else value)


def natural_key(text: str) -> tuple[Any, ...]:
    """Returns a sort key that orders the numbers in names by value.

    Example:
    >>> sorted(["part-10", "part-2", "part-1"], key=natural_key)
    ['part-1', 'part-2', 'part-10']
    """
    parts = re.split(r"([0-9]+)", text)
    return (*((part, 0) if i % 2 == 0 else ("", int(part)) for i, part in enumerate(parts)), (text, 0))


@dataclasses.dataclass(frozen=True)
class TimeLevel:
    """A level of folders that are times or numbered periods.

    Attributes:
      level: Position of the folders in a path.
      unit: The period that one folder covers.
      order: The place in time of each value. A value without one is missing.
      is_absolute: Whether each value is a whole date, so that it needs no other level.
    """

    level: int
    unit: Unit
    order: dict[str, Any]
    is_absolute: bool = False


def find_time_levels(paths: Sequence[Sequence[Folder]], log: str, day_keys: Sequence[str] = ()) -> list[TimeLevel]:
    """Finds the levels whose folders together name a day, the longest unit of time first.

    Folders of hours within a day are not among them, because they only order the day's files.

    Args:
      paths: The folders above each file.
      log: The path of the log, for errors.
      day_keys: See the setting ``data.files.day_keys``.

    Raises:
      UserError: If the place in time of a folder is unknown, or ``day_keys`` names a key that the folders lack.
    """
    levels = [[path[i] for path in paths if i < len(path)] for i in range(max(map(len, paths), default=0))]
    if tuple(day_keys) == (NO_DAY_KEYS,):
        return []
    if day_keys:
        return [_find_named_level(levels, key, log) for key in day_keys]
    plain_dates = _find_plain_dates(levels, len(paths))
    if plain_dates:
        return plain_dates
    found: list[TimeLevel] = []
    has_short_keys = any(folder.key == "y" for folders in levels for folder in folders)
    for index, folders in enumerate(levels):
        is_inner = any(UNITS.index(level.unit) >= _DAY for level in found)
        level = _find_time_level(index, folders, log, is_inner, has_short_keys)
        if level is not None:
            found.append(level)
            if level.is_absolute and UNITS.index(level.unit) >= _DAY:
                return [*(each for each in found[:-1] if UNITS.index(each.unit) < _DAY), level]
    by_unit = {level.unit: level for level in reversed(found)}
    units = [unit for unit in UNITS if unit in by_unit]
    # Hours without a day are the days of the log.
    return [by_unit[unit] for unit in units if UNITS.index(unit) <= _DAY] or [by_unit[unit] for unit in units[:1]]


def _find_time_level(
    index: int, folders: Sequence[Folder], log: str, is_inner: bool, has_short_keys: bool
) -> TimeLevel | None:
    """Returns a level if its folders are times, else None.

    Args:
      index: Position of the level.
      folders: Its folders.
      log: The path of the log, for errors.
      is_inner: Whether the folders are within a day, so that it does not matter if their place in time is unknown.
      has_short_keys: Whether keys of one letter, such as ``m``, are units of time.
    """
    keys = sorted({folder.key or "" for folder in folders}, reverse=True)
    key = keys[0]
    values = {folder.value for folder in folders if folder.value is not None}
    times = sorted((value for value in values if value.lower() not in _NULL_TIMES), key=natural_key)
    dates = {value: date for value in times if (date := parse_date(value)) is not None}
    unit = find_unit(key)
    is_time = is_time_key(key) or (has_short_keys and unit is not None)
    if len(keys) > 1:
        if is_inner or not any(is_time_key(each) for each in keys):
            return None
        examples = [next(folder.name for folder in folders if (folder.key or "") == each) for each in reversed(keys)]
        raise UserError(
            f"{log}: the folders of days have different keys, such as {' and '.join(examples[:2])}; rename the folders "
            "to one key, or name a single folder"
        )
    if dates and len(dates) == len(times):
        spellings = {date.spelling: value for value, date in dates.items()}
        if len(spellings) == 1:
            unit = next(iter(dates.values())).unit
            return TimeLevel(index, unit, {value: date.start for value, date in dates.items()}, is_absolute=True)
        problem = f"{log}: the folders mix two spellings of dates, {' and '.join(list(spellings.values())[:2])}"
        if is_inner:
            return None
        raise UserError(f"{problem}; rename them to one spelling")
    if key == "split" and times and all(re.fullmatch(r"[0-9]+-.+", value) for value in times):
        # The command ``convert`` numbers the splits of a dataset, so that they keep their order.
        return TimeLevel(index, "day", {value: int(value.split("-")[0]) for value in times})
    if not is_time and 2 * len(dates) <= len(times):
        return None
    if all(re.fullmatch(r"[0-9]+", value) for value in times) and not any(len(value) >= 8 for value in dates):
        return TimeLevel(index, unit or "day", {value: int(value) for value in times})
    if is_inner:
        return None
    unknown = next(value for value in times if value not in dates)
    folder = next(folder for folder in folders if folder.value == unknown)
    problem = f"{log}: the folder {folder.name} is not a date such as 2026-11-01"
    problem += f", as {next(f.name for f in folders if f.value in dates)} is" if dates else " or a number"
    raise UserError(
        f"{problem}, so its place in time is unknown; rename or move the folder, or name the keys of the folders of "
        "days yourself with --config.data.files.day_keys",
    )


def _find_plain_dates(levels: Sequence[Sequence[Folder]], num_paths: int) -> list[TimeLevel]:
    """Finds dates that have a plain folder for each part, such as ``2026/11/01``."""
    for first in range(len(levels)):
        found: list[TimeLevel] = []
        for index, unit in zip(range(first, len(levels)), _DATE_UNITS, strict=False):
            names = {folder.name for folder in levels[index]}
            is_number = all(re.fullmatch(r"[0-9]{1,4}", name) for name in names)
            if len(levels[index]) < num_paths or not is_number or not all(is_in_unit(int(n), unit) for n in names):
                break
            found.append(TimeLevel(index, unit, {name: int(name) for name in names}))
        # A number of four digits alone may be anything.
        if len(found) > 1:
            return found
    return []


def _find_named_level(levels: Sequence[Sequence[Folder]], key: str, log: str) -> TimeLevel:
    for index, folders in enumerate(levels):
        values = [folder.value for folder in folders if folder.key == key and folder.value is not None]
        if values and all(folder.key == key for folder in folders):
            dates = {value: parse_date(value) for value in values}
            order: dict[str, Any] = {value: date.start for value, date in dates.items() if date is not None}
            if len(order) < len(dates):
                order = {value: natural_key(value)[:-1] for value in values}
            return TimeLevel(index, find_unit(key) or "day", order)
    known = list(dict.fromkeys(folder.key for folders in levels for folder in folders if folder.key))
    keys = f"the keys {', '.join(known)}" if known else "no keys"
    raise UserError(
        f"{log}: data.files.day_keys names '{key}', but the folders have {keys}; name one of these, or omit the setting"
    )


def describe_values(folders: Sequence[Folder]) -> str:
    """Lists the first values of a level, such as ``DE, FR and 3 more``."""
    names = sorted({folder.value or folder.name for folder in folders}, key=natural_key)
    more = f" and {pluralize(len(names) - _MAX_LISTED, 'other')}" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more

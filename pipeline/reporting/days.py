"""What the log was like, day by day: from the record that the checks left to days and to how far each column moved.

A record may come from an older run or a torn one: what is missing or strange in it is passed over, and never an error.

Shapes: D days, C columns.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .series import is_finite, is_number, number

LEAST, MOST = 0.03, 10.0
"""The scale of shifts. Those below the first are those of chance or of no weight; beyond the second one is as bad as any other."""
WINDOW = 14
"""The days before it that a day is compared with, at most: a log may change over months."""

# A share of missing values moves by its own deviation, sqrt(p (1 - p)); near 0 that would make much of a few rows.
_SMALLEST_SHARE = 0.01
# Days that agree to so many digits have the same mean, however it was added up.
_SAME = 1e-6
_LARGEST = 1e300


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found on a day.

    Attributes:
      check: The check's name.
      column: The column; "" for the whole day.
      text: What was found, in words.
      score: How many usual deviations; None when it has no such number.
    """

    check: str
    column: str
    text: str
    score: float | None


@dataclasses.dataclass(frozen=True)
class Day:
    """One day of the log.

    Attributes:
      name: As in the log; "" when it has none.
      rows: None when they are not known.
      files: Likewise.
      use: ``training``, ``holdout``, ``skipped`` or whatever was recorded.
      statistics: Numbers by their name, by column.
      findings: In the order recorded.
    """

    name: str
    rows: float | None
    files: float | None
    use: str
    statistics: Mapping[str, Mapping[str, float]]
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class Movement:
    """How one statistic of a column moved against the days before.

    Attributes:
      column: The column.
      statistic: ``mean`` or ``missing``.
      values: The statistic itself, shape ``(D,)``; NaN where it is not known.
      shifts: What it moved by, in deviations of the days before, shape ``(D,)``; infinite where they had none; NaN where it is
        not known.
    """

    column: str
    statistic: str
    values: np.ndarray
    shifts: np.ndarray

    @property
    def largest(self) -> float:
        """The largest shift, up or down; 0 when none is known."""
        known = np.abs(self.shifts[~np.isnan(self.shifts)])
        return float(known.max(initial=0.0))


def read_days(log: Any) -> list[Day]:
    """The days of ``log.json``, in the order recorded."""
    found = log.get("days") if isinstance(log, Mapping) else None
    return [_day(each) for each in _list(found) if isinstance(each, Mapping)]


def movements(days: Sequence[Day]) -> list[Movement]:
    """Every known statistic of every column, in the order of the columns.

    A day is compared with the median of the :data:`WINDOW` days before it, without those that were left out: neither these nor a single
    strange day among them hide what comes after. The deviation is that of single rows, the median of the days before too.
    """
    columns = list(dict.fromkeys(column for day in days for column in day.statistics))
    if not columns:
        return []
    means, deviations, missing = (_matrix(days, columns, name) for name in ("mean", "deviation", "missing"))
    missing[(missing < 0) | (missing > 1)] = np.nan
    kept = np.array([day.use != "skipped" for day in days])
    # A shift may overflow, to what is shown as the largest.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Of columns without any value before.
        of_means = _shifts(means, _before(means, kept), _before(deviations, kept))
        usual = _before(missing, kept)
        share = np.clip(usual, _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
        of_missing = _shifts(missing, usual, np.sqrt(share * (1 - share)))
    found = []
    for place, column in enumerate(columns):
        for name, values, shifts in (("mean", means, of_means), ("missing", missing, of_missing)):
            if not np.isnan(values[place]).all():
                found.append(Movement(column, name, values[place], shifts[place]))
    return found


def most_moved(
    found: Iterable[Movement], *, labels: Sequence[str], flagged: Sequence[str], limit: int
) -> tuple[list[Movement], int]:
    """The movements that are worth a look, and how many others moved.

    The means of the label columns come first, whether or not they moved: what a ranker learns is judged by them. Then come
    those that moved by :data:`LEAST` or more, and the means of columns with findings, the largest shift first.

    Args:
      found: All of them.
      labels: The label columns.
      flagged: The columns with findings.
      limit: Most of them, labels included.
    """
    found = list(found)
    first = [one for label in labels for one in found if (one.column, one.statistic) == (label, "mean")]
    taken = {id(one) for one in first}
    moved = [one for one in found if id(one) not in taken and one.largest >= LEAST]
    there = {one.column for one in (*first, *moved)}
    still = [one for one in found if one.column in flagged and one.column not in there and one.statistic == "mean"]
    others = sorted([*moved, *still], key=lambda one: -one.largest)
    return [*first, *others][:limit], max(len(first) + len(others) - limit, 0)


def short_names(days: Sequence[Day]) -> tuple[list[str], str]:
    """Each day's name without the beginning that all of them share, and that beginning: ``01``, ``02``; ``day=2026-11-``."""
    names = [day.name or str(place) for place, day in enumerate(days, start=1)]
    shared = 0
    if len(set(names)) > 1:
        for place, letters in enumerate(zip(*names, strict=False)):
            if len(set(letters)) > 1:
                break
            # A name is cut where a word ends, never within one.
            shared = shared if letters[0].isalnum() else place + 1
    return [name[shared:] or name for name in names], names[0][:shared] if names else ""


def _day(told: Mapping[str, Any]) -> Day:
    statistics = told.get("statistics")
    return Day(
        name=_text(told.get("name")),
        rows=_amount(told.get("rows")),
        files=_amount(told.get("files")),
        use=_text(told.get("use")),
        statistics={
            str(column): {str(name): number(value) for name, value in numbers.items() if is_number(value)}
            for column, numbers in (statistics.items() if isinstance(statistics, Mapping) else ())
            if isinstance(numbers, Mapping)
        },
        findings=tuple(_finding(each) for each in _list(told.get("anomalies")) if isinstance(each, Mapping)),
    )


def _finding(told: Mapping[str, Any]) -> Finding:
    score = told.get("score")
    return Finding(
        check=_text(told.get("check")),
        column=_text(told.get("column")),
        text=_text(told.get("text")),
        score=number(score) if is_number(score) else None,
    )


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _amount(value: Any) -> float | None:
    return number(value) if is_finite(value) and value >= 0 else None


def _matrix(days: Sequence[Day], columns: Sequence[str], name: str) -> np.ndarray:
    """One statistic, shape ``(C, D)``; NaN where it is not known."""
    values = [[day.statistics.get(column, {}).get(name, np.nan) for day in days] for column in columns]
    # Two of the values may be added.
    return np.clip(np.array(values, np.float64), -_LARGEST, _LARGEST)


def _before(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """For each day the median over those of the :data:`WINDOW` days before it that were kept, shape ``(C, D)``; NaN where there is none."""
    values = np.where(np.isfinite(values) & kept, values, np.nan)
    medians = np.full(values.shape, np.nan)
    for day in range(1, values.shape[1]):
        medians[:, day] = np.nanmedian(values[:, max(day - WINDOW, 0) : day], axis=1)
    return medians


def _shifts(values: np.ndarray, usual: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """By how many deviations the values differ from the usual ones; infinitely many where there was no deviation."""
    differences = values - usual
    differences[np.abs(differences) <= _SAME * np.abs(usual)] = 0.0
    return np.where(
        (deviation == 0) & (differences == 0), 0.0, differences / np.where(deviation < 0, np.nan, deviation)
    )

"""A day compared with the days before it: its rows, its files and each of its columns.

A message gives the value of the day and the usual value, which is the median over the previous days.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ....foundation.formatting import format_percent, pluralize
from ..day_names import parse_day
from .checked_day import Anomaly
from .column_comparison import compare_column, format_days_before
from .day_statistics import ColumnStatistics
from .tolerance import compute_tolerance, is_far

WINDOW = 14
"""The number of previous days that a day is compared with; a log may change over months."""

_MIN_ROWS = 200
# The smallest relevant distances. A weekend day may have half the rows.
_MIN_LOG_ROWS, _MIN_REPEATED_SHARE = math.log(3.0), 0.02


@dataclasses.dataclass(frozen=True)
class DayProfile:
    """The properties of a day that are compared with those of other days.

    Attributes:
      name: The day's name.
      rows: Number of rows.
      columns: Statistics of each column, from a sample of the rows.
      repeated_share: Share of the sampled rows that equal an earlier one.
      column_types: The types of the columns in the day's files; empty if the files do not store them.
    """

    name: str
    rows: int
    columns: Mapping[str, ColumnStatistics]
    repeated_share: float = 0.0
    column_types: Mapping[str, str] = dataclasses.field(default_factory=dict)


def find_anomalies(
    today: DayProfile, previous: Sequence[DayProfile], previous_names: Sequence[str] | None = None
) -> list[Anomaly]:
    """Finds the anomalies of a day.

    Args:
      today: The day to check.
      previous: The days before it, the oldest first. Only the last :data:`WINDOW` days are used. Without previous days,
        there are no anomalies.
      previous_names: Names of all days before it, including skipped days, which are not a gap. Default: the names of
        ``previous``.

    Example:
    >>> days = [DayProfile(f"day={i}", rows=1000, columns={}) for i in range(5)]
    >>> [str(anomaly) for anomaly in find_anomalies(DayProfile("day=5", rows=10, columns={}), days)]
    ['the day has 10 rows; the 5 days before had 1,000']
    """
    previous = previous[-WINDOW:]
    if not previous:
        return []
    anomalies = [
        *_find_gap(today.name, [day.name for day in previous] if previous_names is None else previous_names[-WINDOW:]),
        *_compare_rows(today, previous),
        *_compare_column_types(today, previous),
        *_compare_repeated_share(today, previous),
    ]
    for name, column in today.columns.items():
        columns_before = [day.columns[name] for day in previous if name in day.columns]
        columns_before = [before for before in columns_before if before.rows >= _MIN_ROWS]
        if columns_before and column.rows >= _MIN_ROWS:
            anomalies += compare_column(name, column, columns_before)
    return anomalies


def _compare_rows(today: DayProfile, previous: Sequence[DayProfile]) -> Iterator[Anomaly]:
    counts = [math.log(day.rows) for day in previous if day.rows]
    if counts and is_far(math.log(today.rows), counts, _MIN_LOG_ROWS):
        usual = round(math.exp(float(np.median(counts))))
        text = f"the day has {pluralize(today.rows, 'row')}; {format_days_before(len(counts))} had {usual:,}"
        yield Anomaly("rows", "", text)


def _compare_column_types(today: DayProfile, previous: Sequence[DayProfile]) -> Iterator[Anomaly]:
    for name, kind in today.column_types.items():
        counts = Counter(day.column_types[name] for day in previous if name in day.column_types)
        usual = counts.most_common(1)[0][0] if counts else kind
        if kind != usual:
            yield Anomaly("type", name, f"the type of {name} is {kind}; it was {usual} before")


def _compare_repeated_share(today: DayProfile, previous: Sequence[DayProfile]) -> Iterator[Anomaly]:
    shares = [day.repeated_share for day in previous]
    usual = float(np.median(shares))
    if today.repeated_share > usual + compute_tolerance(shares, _MIN_REPEATED_SHARE):
        text = (
            f"{format_percent(today.repeated_share)} of the rows repeat another row; "
            f"{format_days_before(len(shares))} had {format_percent(usual)}"
        )
        yield Anomaly("duplicates", "", text)


def _find_gap(today: str, previous: Sequence[str]) -> Iterator[Anomaly]:
    """Finds missing days between the last day and this one, if most days follow each other at the same interval."""
    times = [time for time in (parse_day(name) for name in (*previous, today)) if time is not None]
    if len(times) <= len(previous) or len(times) < 3:
        return
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    usual, count = Counter(steps[:-1]).most_common(1)[0]
    if count * 2 > len(steps) - 1 and steps[-1] > usual:
        missing = max(round(steps[-1] / usual) - 1, 1)
        verb = "is" if missing == 1 else "are"
        text = f"{pluralize(missing, 'day')} {verb} missing between {previous[-1]} and {today}"
        yield Anomaly("missing_day", "", text)

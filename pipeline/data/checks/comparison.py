"""A day held against the days before it: what is odd about it.

Every bound is wide. A check that cries at each holiday is switched off, and then says nothing when a column is gone; slower
changes are what the training's own probes and the progressive evaluation are for. What a statistic usually is, is the median of
the days before; how far it usually is from that, the median of their distances: one odd day among them hides no other.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ....foundation.signed_log import inverse_signed_log
from .day_statistics import ColumnStatistics

# Days that a day is held against, at most: a log may change over months.
WINDOW = 14

_FEWEST_ROWS = 200
# How far from the median: so many times the usual distance, and at least so much, twice that before the third day.
_DISTANCES = 4.0
_SHARE, _DEVIATIONS, _ODDS = 0.1, 0.5, math.log(2.0)
# And so many standard errors, so that few rows make no alarm.
_ERRORS = 5.0
_WIDER = math.log(4.0)
# Rows: a weekend may have half.
_ROWS = math.log(3.0)
# Ids are known by their most frequent values, so many, if these make up so much of a day; a share of that must be left, on one of
# so many days before.
_FREQUENT, _KNOWN_BEFORE, _KNOWN_NOW, _KNOWN_DAYS = 64, 0.1, 0.4, 7
_REPEATED = 0.02


@dataclasses.dataclass(frozen=True)
class Day:
    """What is known of a day.

    Attributes:
      name: Its name.
      rows: How many it has.
      columns: Statistics of some of its rows, by column.
      repeated: Share of these rows that equal another.
      fields: The columns of its files and their types; empty where they do not tell.
    """

    name: str
    rows: int
    columns: Mapping[str, ColumnStatistics]
    repeated: float = 0.0
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Oddity:
    """One thing that is odd about a day.

    Attributes:
      check: What kind: ``rows``, ``missing_values``, ``constant``, ``shifted``, ``unknown_values``, ``duplicates``,
        ``missing_day``, ``missing_column``, ``extra_column``, ``type`` or ``empty``.
      column: The column; "" for the whole day.
      text: What it is and what was usual.
      score: How many usual deviations; None where it has no such number.
    """

    check: str
    column: str
    text: str
    score: float | None = None

    def __str__(self) -> str:
        return f"{self.column}: {self.text}" if self.column else self.text


def oddities(day: Day, before: Sequence[Day]) -> list[Oddity]:
    """What is odd about ``day`` after the days ``before``; nothing is known when there are none."""
    before = before[-WINDOW:]
    if not before:
        return []
    found = [*_gap(day, before), *_rows(day, before), *_fields(day, before), *_repeated(day, before)]
    for name, now in day.columns.items():
        past = [other.columns[name] for other in before if name in other.columns]
        past = [one for one in past if one.rows >= _FEWEST_ROWS]
        if past and now.rows >= _FEWEST_ROWS:
            found += _column(name, now, past)
    return found


def _column(name: str, now: ColumnStatistics, past: Sequence[ColumnStatistics]) -> Iterator[Oddity]:
    yield from _share("missing_values", name, "have no value", now.missing, [one.missing for one in past], now.rows)
    if now.missing == 1:
        return
    if now.distinct:
        yield from _values(name, now, past)
    else:
        yield from _moments(name, now, [one for one in past if np.isfinite(one.mean)])


def _values(name: str, now: ColumnStatistics, past: Sequence[ColumnStatistics]) -> Iterator[Oddity]:
    if now.distinct == 1 and all(one.distinct > 1 for one in past):
        yield Oddity("constant", name, f"the same value in every row, where it took {past[-1].distinct:,} or so")
        return
    unknown = [one.unknown for one in past if one.unknown is not None]
    if now.unknown is not None and unknown:
        words = "are not in the vocabulary"
        yield from _share("unknown_values", name, words, now.unknown, unknown, now.rows)
    # How much of a day the values make up that were frequent on the day before that is most like it; ids come and go, as they
    # always did.
    held = [_held(one, past[:place]) for place, one in enumerate(past) if place]
    usual, spread = (float(np.median(held)), _distance(held)) if held else (1.0, 0.0)
    known, share = sum(_frequent(past[-1]).values()), _held(now, past)
    if known >= _KNOWN_BEFORE and share < _KNOWN_NOW * usual - _DISTANCES * spread:
        text = (
            f"what was frequent before makes up {_percent(share * known)} of the values, where it was {_percent(known)}"
        )
        yield Oddity("unknown_values", name, text)


def _held(now: ColumnStatistics, before: Sequence[ColumnStatistics]) -> float:
    """Of the share that the frequent values had, how much is left, on the day before of which most is left."""
    left = [0.0]
    for one in before[-_KNOWN_DAYS:]:
        frequent = _frequent(one)
        total = sum(frequent.values())
        left.append(sum(now.top.get(value, 0.0) for value in frequent) / total if total else 1.0)
    return max(left)


def _frequent(one: ColumnStatistics) -> dict[Any, float]:
    return dict(itertools.islice(one.top.items(), _FREQUENT))


def _moments(name: str, now: ColumnStatistics, past: Sequence[ColumnStatistics]) -> Iterator[Oddity]:
    if not past or not np.isfinite(now.mean):
        return
    means, deviations = [one.mean for one in past], [one.deviation for one in past]
    usual, deviation = float(np.median(means)), float(np.median(deviations))
    told = f"mean {_number(now.mean, now.logs)}, where the days before had {_number(usual, now.logs)}"
    if now.deviation == 0 and min(deviations) > 0:
        yield Oddity("constant", name, f"{_number(now.mean, now.logs)} in every row, where it varied")
        return
    if deviation == 0:
        if now.deviation > 0 and max(deviations) == 0:
            yield Oddity("shifted", name, f"it varies around {_number(now.mean)}, where it was always {_number(usual)}")
        elif now.mean != usual and now.deviation == 0:
            yield Oddity(
                "shifted", name, f"{_number(now.mean, now.logs)}, where it was always {_number(usual, now.logs)}"
            )
        return
    count = now.rows * (1 - now.missing)
    score = (now.mean - usual) / deviation
    if _far(now.mean / deviation, [mean / deviation for mean in means], _DEVIATIONS, 1 / math.sqrt(max(count, 1))):
        yield Oddity("shifted", name, told, round(score, 1))
        return
    if all(0 < mean < 1 for mean in (*means, now.mean)) and _is_binary(now) and all(map(_is_binary, past)):
        # Of rare events a deviation is much: their odds tell more.
        odds = [math.log(mean / (1 - mean)) for mean in means]
        now_odds = math.log(now.mean / (1 - now.mean))
        error = 1 / math.sqrt(max(count, 1) * min(now.mean, 1 - now.mean, usual, 1 - usual))
        if _far(now_odds, odds, _ODDS, error):
            yield Oddity("shifted", name, told, round(score, 1))
            return
    if now.deviation > 0:
        wider = [math.log(one) for one in deviations if one > 0]
        if wider and _far(math.log(now.deviation), wider, _WIDER):
            text = f"deviation {_number(now.deviation)}, where the days before had {_number(deviation)}"
            yield Oddity("shifted", name, text + (" (of logarithms)" if now.logs else ""))


def _is_binary(one: ColumnStatistics) -> bool:
    """Whether mean and deviation are those of zeros and ones."""
    return not one.logs and math.isclose(one.deviation**2, one.mean * (1 - one.mean), rel_tol=1e-3)


def _share(check: str, name: str, words: str, now: float, past: Sequence[float], rows: int) -> Iterator[Oddity]:
    usual = float(np.median(past))
    spread = math.sqrt(max(usual * (1 - usual), 1 / rows))
    if _far(now, past, _SHARE, spread / math.sqrt(rows)):
        text = f"{_percent(now)} of the rows {words}, where it was {_percent(usual)}"
        yield Oddity(check, name, text)


def _far(now: float, past: Sequence[float], least: float, error: float = 0.0) -> bool:
    """Whether a value that has this standard error is farther from the median than any usual one."""
    return abs(now - float(np.median(past))) > _bound(least, past) + _ERRORS * error


def _bound(least: float, past: Sequence[float]) -> float:
    """How far from the median is not odd yet."""
    certain = 1 if len(past) >= 3 else 2
    return certain * least + _DISTANCES * _distance(past)


def _distance(past: Sequence[float]) -> float:
    return float(np.median(np.abs(np.asarray(past) - np.median(past))))


def _rows(day: Day, before: Sequence[Day]) -> Iterator[Oddity]:
    counts = [math.log(other.rows) for other in before if other.rows]
    if counts and _far(math.log(day.rows), counts, _ROWS):
        usual = round(math.exp(float(np.median(counts))))
        yield Oddity("rows", "", f"{day.rows:,} rows, where the days before had {usual:,}")


def _fields(day: Day, before: Sequence[Day]) -> Iterator[Oddity]:
    known = [other.fields for other in before if other.fields]
    if not day.fields or not known:
        return
    usual: dict[str, str] = {}
    for name in dict.fromkeys(name for fields in known for name in fields):
        kinds = Counter(fields[name] for fields in known if name in fields)
        usual[name] = kinds.most_common(1)[0][0]
        if name not in day.fields:
            if 2 * kinds.total() > len(known):
                yield Oddity("missing_column", name, "the column is not there, as it was before")
        elif day.fields[name] != usual[name]:
            yield Oddity("type", name, f"{day.fields[name]}, where it was {usual[name]}")
    for name in day.fields.keys() - usual.keys():
        yield Oddity("extra_column", name, f"the column is new: {day.fields[name]}")


def _repeated(day: Day, before: Sequence[Day]) -> Iterator[Oddity]:
    past = [other.repeated for other in before]
    if day.repeated > float(np.median(past)) + _bound(_REPEATED, past):
        text = f"{_percent(day.repeated)} of the rows equal another, where it was {_percent(float(np.median(past)))}"
        yield Oddity("duplicates", "", text)


def _gap(day: Day, before: Sequence[Day]) -> Iterator[Oddity]:
    """Days that are missing between this one and the last: between others the step is smaller."""
    times = [time for time in (_time_of(one.name) for one in (*before, day)) if time is not None]
    if len(times) <= len(before) or len(times) < 3:
        return
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    usual, often = Counter(steps[:-1]).most_common(1)[0]
    if often * 2 > len(steps) - 1 and steps[-1] > usual:
        missing = max(round(steps[-1] / usual) - 1, 1)
        text = f"{missing:,} day is missing" if missing == 1 else f"{missing:,} days are missing"
        yield Oddity("missing_day", "", f"{text} between {before[-1].name} and this one")


_FORMS = ("%Y-%m-%d", "%Y%m%d", "%Y-%m-%d-%H", "%Y-%m-%dT%H", "%Y%m%d%H", "%Y-%m-%d %H:%M:%S")


def _time_of(name: str) -> float | None:
    """The time that a day's name tells, in seconds, or its number; None when it tells neither."""
    told = name.rpartition("=")[2]
    for form in _FORMS:
        try:
            return datetime.datetime.strptime(told, form).replace(tzinfo=datetime.timezone.utc).timestamp()
        except ValueError:
            continue
    return float(told) if re.fullmatch(r"\d{1,9}", told) else None


def _percent(share: float) -> str:
    return f"{share:.3g}" if 0 < share < 1e-4 else f"{100 * share:.3g} %"


def _number(value: float, logs: bool = False) -> str:
    if logs:
        value = inverse_signed_log(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"

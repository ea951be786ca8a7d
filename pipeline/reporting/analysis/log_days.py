"""The days of a log, from ``log.json``.

The record may be old, incomplete or edited. Missing or malformed parts are skipped and never an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .numbers import is_finite, is_number, to_float


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """An anomaly that a check found on a day.

    Attributes:
      check: Name of the check.
      column: The column; empty for the whole day.
      text: A description of the anomaly.
      score: Distance from the usual value in standard deviations; None if the check has no score.
    """

    check: str
    column: str
    text: str
    score: float | None


@dataclasses.dataclass(frozen=True)
class LogDay:
    """One day of the log.

    Attributes:
      name: The name in the log; may be empty.
      rows: Number of rows; None if unknown.
      files: Number of files; None if unknown.
      use: A :data:`~.run_terms.DayUse`, or another recorded text.
      statistics: Numbers by column and name of the statistic.
      anomalies: The anomalies that the checks found, in the order recorded.
    """

    name: str
    rows: float | None
    files: float | None
    use: str
    statistics: Mapping[str, Mapping[str, float]]
    anomalies: tuple[Anomaly, ...]

    @property
    def is_skipped(self) -> bool:
        """Whether the run skipped the day because of an anomaly."""
        return self.use == "skipped"


def read_days(log: Any) -> list[LogDay]:
    """Reads the days of ``log.json``, in the order recorded."""
    days = log.get("days") if isinstance(log, Mapping) else None
    return [_read_day(day) for day in _as_list(days) if isinstance(day, Mapping)]


def sum_rows(days: Sequence[LogDay]) -> float | None:
    """Returns the number of rows of some days; None if it is unknown for one of them."""
    known = [day.rows for day in days if day.rows is not None]
    return sum(known) if len(known) == len(days) else None


def shorten_names(days: Sequence[LogDay]) -> tuple[list[str], str]:
    """Removes the common prefix from the names of the days.

    Returns:
      The short names, such as ``01`` and ``02``, and the common prefix, such as ``day=2026-11-``.
    """
    names = [day.name or str(position) for position, day in enumerate(days, start=1)]
    shared = 0
    if len(set(names)) > 1:
        for position, letters in enumerate(zip(*names, strict=False)):
            if len(set(letters)) > 1:
                break
            # Cut names between words, never inside a word.
            shared = shared if letters[0].isalnum() else position + 1
    return [name[shared:] or name for name in names], names[0][:shared] if names else ""


def _read_day(day: Mapping[str, Any]) -> LogDay:
    columns = day.get("statistics")
    return LogDay(
        name=_as_text(day.get("name")),
        rows=_as_amount(day.get("rows")),
        files=_as_amount(day.get("files")),
        use=_as_text(day.get("use")),
        statistics={
            str(column): {str(name): to_float(value) for name, value in statistics.items() if is_number(value)}
            for column, statistics in (columns.items() if isinstance(columns, Mapping) else ())
            if isinstance(statistics, Mapping)
        },
        anomalies=tuple(
            _read_anomaly(anomaly) for anomaly in _as_list(day.get("anomalies")) if isinstance(anomaly, Mapping)
        ),
    )


def _read_anomaly(anomaly: Mapping[str, Any]) -> Anomaly:
    score = anomaly.get("score")
    return Anomaly(
        check=_as_text(anomaly.get("check")),
        column=_as_text(anomaly.get("column")),
        text=_as_text(anomaly.get("text")),
        score=to_float(score) if is_number(score) else None,
    )


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _as_amount(value: Any) -> float | None:
    return to_float(value) if is_finite(value) and value >= 0 else None

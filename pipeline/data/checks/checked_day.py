"""The results of the checks: the anomalies of a day, and whether the run uses the day."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

Check = Literal[
    "rows",
    "missing_values",
    "constant",
    "shifted",
    "unknown_values",
    "duplicates",
    "missing_day",
    "type",
    "empty",
    "faulty_rows",
    "undated",
]
"""The name of a check."""


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """One unusual property of a day.

    Attributes:
      check: The check that found it.
      column: The column; empty if the anomaly concerns the whole day.
      text: A sentence with the value and the usual value. It names the column but not the day.
      score: The distance of the mean from its usual value, in usual standard deviations; None for other checks.
    """

    check: Check
    column: str
    text: str
    score: float | None = None

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class CheckedDay:
    """One day of a log and the result of its checks.

    Attributes:
      name: The day's name.
      rows: Number of rows.
      files: Number of files that hold them.
      content: Checksum of the files' sizes and row groups. A resumed run requires the same value.
      statistics: Statistics of each column, by their names: ``missing`` with ``mean`` and ``deviation``, or with
        ``distinct`` and ``unknown``.
      anomalies: The day's anomalies.
      skipped: Whether the run leaves the day out.

    Example:
    >>> day = CheckedDay("day=2026-11-06", 10, 1, 0, {}, (Anomaly("rows", "", "the day has 10 rows"),), skipped=True)
    >>> day.anomaly_lines()
    ['Skipped day=2026-11-06: the day has 10 rows']
    >>> CheckedDay.from_dict(day.to_dict()) == day
    True
    """

    name: str
    rows: int
    files: int
    content: int
    statistics: dict[str, dict[str, float]]
    anomalies: tuple[Anomaly, ...]
    skipped: bool

    def anomaly_lines(self) -> list[str]:
        """Formats each anomaly as one line for a person."""
        name = self.name or "the log"
        return [f"{'Skipped ' if self.skipped else ''}{name}: {anomaly}" for anomaly in self.anomalies]

    def to_dict(self) -> dict[str, Any]:
        """Converts the day to plain types for JSON, without attributes that are None."""
        values = dataclasses.asdict(self)
        values["anomalies"] = [
            {key: value for key, value in anomaly.items() if value is not None} for anomaly in values["anomalies"]
        ]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckedDay:
        """Restores a day from :meth:`to_dict`. Ignores keys that are not attributes."""
        attributes = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        return cls(**attributes | {"anomalies": tuple(Anomaly(**anomaly) for anomaly in attributes["anomalies"])})

"""Checks a log before a run: each of its days against those before it, and each against what an earlier process of the run saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ...config.errors import UserError
from ...config.settings import Files
from ..files.log import FileLog
from .comparison import WINDOW, Day, Oddity, oddities
from .day_statistics import repeated_share, row_hashes, statistics_of

# Under the policy ``skip`` a day with one of these is left out; with the others it can be trained on as well as any.
_SPOILING = frozenset({"missing_values", "constant", "shifted", "unknown_values", "duplicates"})
# Groups with fewer rows may be equal by chance; and so many are compared in full, of those that look alike.
_FEWEST_ROWS, _COMPARED = 100, 4
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class CheckedDay:
    """A day that was checked.

    Attributes:
      name: Its name.
      rows: How many it has.
      files: How many files they are in.
      content: Changes when the files do.
      statistics: Of each column, in plain types.
      findings: What is odd about it.
      left_out: Whether the run is without it.
    """

    name: str
    rows: int
    files: int
    content: int
    statistics: dict[str, dict[str, float]]
    findings: tuple[Oddity, ...]
    left_out: bool

    def to_dict(self) -> dict[str, Any]:
        """In plain types, without what is not known."""
        told = dataclasses.asdict(self)
        told["findings"] = [{k: v for k, v in each.items() if v is not None} for each in told["findings"]]
        return told


def from_dict(told: Mapping[str, Any]) -> CheckedDay:
    """What :meth:`CheckedDay.to_dict` told; other keys are passed over."""
    values = {field.name: told[field.name] for field in dataclasses.fields(CheckedDay)}
    return CheckedDay(**values | {"findings": tuple(Oddity(**each) for each in values["findings"])})


def check_log(
    log: FileLog,
    settings: Files,
    known: Sequence[CheckedDay] = (),
    tell: Callable[[int, int], None] | None = None,
) -> list[CheckedDay]:
    """Looks at some rows of each day.

    Args:
      log: The log, with all its days.
      settings: How many rows, and what is done about an odd day.
      known: What an earlier process of the run found: that stands, and only what came since is checked.
      tell: Called with the days that were looked at and all of them, again and again.

    Returns:
      The days in their order, those without rows at the end.

    Raises:
      UserError: When a day is not the one that it was for the earlier process, or the policy says so.
    """
    names = list(log.days)
    held = {day.name: day for day in known}
    _compare(log, names, held)
    new = [place for place, name in enumerate(names) if name not in held]
    checked: list[CheckedDay] = []
    before: list[Day] = []
    # Of days that are known already, only those that a new one is held against are looked at again.
    first_needed = max(new[0] - WINDOW, 0) if new else len(names)
    groups: dict[Hashable, tuple[str, int]] = {}
    for place, name in enumerate(names):
        looked_at = bool(settings.checked_rows_per_day) and place >= first_needed
        day = _look(log, place, settings.checked_rows_per_day) if looked_at else None
        suspected = _suspected(log, place, groups) if looked_at else []
        if name in held:
            one = held[name]
        else:
            found = _twice(log, suspected)
            if day is not None:
                # Whole groups tell more than rows that are equal by chance or for the same reason.
                found += [each for each in oddities(day, before) if not (found and each.check == "duplicates")]
            left_out = settings.on_anomalous_day == "skip" and any(each.check in _SPOILING for each in found)
            statistics = {} if day is None else {column: each.plain() for column, each in day.columns.items()}
            rows = sum(log.block_rows(place))
            one = CheckedDay(
                name, rows, len(log.day_files(place)), log.content(place), statistics, tuple(found), left_out
            )
        checked.append(one)
        if day is not None and not one.left_out:
            before.append(day)
        if tell is not None:
            tell(place + 1, len(names))
    empty = Oddity("empty", "", "the day has no rows")
    checked += [CheckedDay(name, 0, 0, 0, {}, (empty,), True) for name in log.empty_days]
    _judge(checked, settings, [names[place] for place in new])
    return checked


def _compare(log: FileLog, names: Sequence[str], held: Mapping[str, CheckedDay]) -> None:
    for name, day in held.items():
        if not day.rows:
            continue
        if name not in names:
            raise UserError(
                f"{name} is not in the log any more, on which this run was begun; put it back, or begin another run"
            )
        place = names.index(name)
        if log.content(place) != day.content:
            raise UserError(
                f"{name} has changed since this run was begun: it had {day.rows:,} rows in {day.files:,} file(s), and has "
                f"{sum(log.block_rows(place)):,} in {len(log.day_files(place)):,}, or other ones; a run that goes on needs the "
                "same rows, put them back or begin another run"
            )


def _look(log: FileLog, place: int, rows: int) -> Day:
    blocks = log.sample_rows(place, rows)
    return Day(
        log.days[place],
        sum(log.block_rows(place)),
        statistics_of(blocks, log.schema),
        repeated_share(blocks),
        log.column_types(place),
    )


def _suspected(
    log: FileLog, place: int, groups: dict[Hashable, tuple[str, int]]
) -> list[tuple[tuple[str, int], tuple[str, int], int]]:
    """Groups of a day that look like one before, on this day or an earlier one, with that and their rows; the others are added."""
    suspected: list[tuple[tuple[str, int], tuple[str, int], int]] = []
    for found, rows, signature in log.group_signatures(place):
        if rows >= _FEWEST_ROWS:
            first = groups.setdefault(signature, found)
            if first != found:
                suspected.append((found, first, rows))
    return suspected


def _twice(log: FileLog, suspected: Sequence[tuple[tuple[str, int], tuple[str, int], int]]) -> list[Oddity]:
    """Whether groups of rows that look alike are."""
    compared = suspected[:_COMPARED]
    alike = [
        each
        for each in compared
        if np.array_equal(row_hashes(log.read_group(*each[0])), row_hashes(log.read_group(*each[1])))
    ]
    if not alike:
        return []
    (file, group), (other, at), _ = alike[0]
    count = sum(rows for *_, rows in (suspected if len(alike) == len(compared) else alike))
    text = f"{count:,} rows stand in the log twice: group {group} of {log.relative_name(file)} is group {at} of {log.relative_name(other)}"
    return [Oddity("duplicates", "", text)]


def _judge(checked: Sequence[CheckedDay], settings: Files, new: Sequence[str]) -> None:
    """Ends the run where the policy says so."""
    if settings.on_anomalous_day == "fail":
        found = [f"{day.name}: {each}" for day in checked if day.name in new for each in day.findings]
        if found:
            raise UserError(
                f"the log is odd: {_some(found)}. Mend it, or train on it as it is, --config.data.files.on_anomalous_day=warn, or "
                "without the days that are odd, =skip"
            )
    left_out = [day for day in checked if day.left_out]
    if len(left_out) > settings.max_anomalous_share * len(checked):
        found = [f"{day.name}: {each}" for day in left_out for each in day.findings]
        raise UserError(
            f"{len(left_out):,} of {len(checked):,} days would be left out, more than {settings.max_anomalous_share:.0%}: {_some(found)}. "
            "Mend them, or allow more: --config.data.files.max_anomalous_share"
        )


def _some(found: Sequence[str]) -> str:
    more = f"; and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more

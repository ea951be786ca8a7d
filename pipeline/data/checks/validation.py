"""Checks the days of a log before a run. For a resumed run, checks that the days have not changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ....foundation.formatting import pluralize
from ...config.errors import UserError
from ...config.settings import Files
from ..columns import count_rows
from .checkable_log import CheckableLog, DaySample
from .checked_day import Anomaly, CheckedDay
from .comparison import WINDOW, DayProfile, find_anomalies
from .day_statistics import compute_column_statistics
from .repeated_rows import DuplicateGroups, repeated_share

# With the policy "skip", the run skips a day with one of these anomalies. It can train on days with other anomalies.
_SKIPPED_CHECKS = frozenset({"missing_values", "constant", "shifted", "unknown_values", "duplicates", "faulty_rows"})
_MAX_LISTED = 5


def check_days(
    log: CheckableLog,
    settings: Files,
    previous: Sequence[CheckedDay] = (),
    report_progress: Callable[[int, int], None] | None = None,
) -> list[CheckedDay]:
    """Checks a sample of each day against the days before it.

    Args:
      log: The log, with all its days.
      settings: ``checked_rows_per_day``, ``on_anomalous_day`` and ``max_anomalous_share`` are used.
      previous: The days that an earlier process of the run checked. Their results are final; only newer days are
        checked.
      report_progress: Called after each day with the number of days checked so far and of all days.

    Returns:
      The days in order, those without rows or without a date at the end.

    Raises:
      UserError: If a day of ``previous`` changed or is missing, or if the policy refuses the log.
    """
    names = list(log.days)
    earlier = {day.name: day for day in previous}
    _check_unchanged(log, earlier)
    new_days = [index for index, name in enumerate(names) if name not in earlier]
    # An earlier day is read again only if a new day is compared with it.
    first_read = max(new_days[0] - WINDOW, 0) if new_days else len(names)
    duplicate_groups = DuplicateGroups(log)
    checked: list[CheckedDay] = []
    profiles: list[DayProfile] = []
    for index, name in enumerate(names):
        sample, profile, duplicates = None, None, []
        if settings.checked_rows_per_day and index >= first_read:
            sample = log.sample_rows(index, settings.checked_rows_per_day)
            profile = _make_profile(log, index, sample)
            duplicates = duplicate_groups.add_day(index)
        if name in earlier:
            day = earlier[name]
        else:
            anomalies = duplicate_groups.confirm(duplicates)
            if profile is not None and sample is not None:
                # Once whole row groups are known to repeat, the share of repeated rows adds nothing.
                ignored = "duplicates" if anomalies else None
                all_anomalies = find_anomalies(profile, profiles, names[:index])
                anomalies += [anomaly for anomaly in all_anomalies if anomaly.check != ignored]
                anomalies += _find_faulty_day(sample)
            day = _make_checked_day(log, index, profile, anomalies, settings)
        checked.append(day)
        if profile is not None and not day.skipped:
            profiles.append(profile)
        if report_progress is not None:
            report_progress(index + 1, len(names))
    no_rows = Anomaly("empty", "", "the day has no rows")
    checked += [CheckedDay(name, 0, 0, 0, {}, (no_rows,), skipped=True) for name in log.empty_days]
    _apply_policy(checked, settings, {names[index] for index in new_days})
    no_date = Anomaly("undated", "", "the rows have no date")
    return checked + [CheckedDay(name, 0, 0, 0, {}, (no_date,), skipped=True) for name in log.undated_folders]


def _check_unchanged(log: CheckableLog, earlier: Mapping[str, CheckedDay]) -> None:
    """Raises a UserError if a day that an earlier process checked is missing or its files changed."""
    positions = {name: index for index, name in enumerate(log.days)}
    for name, day in earlier.items():
        if not day.rows:
            continue
        if name not in positions:
            raise UserError(f"{name} is no longer in the log that this run started on; restore it, or start a new run")
        index = positions[name]
        if log.content(index) != day.content:
            rows, files = sum(log.block_rows(index)), len(log.day_files(index))
            raise UserError(
                f"{name} has changed since this run started: it had {pluralize(day.rows, 'row')} in "
                f"{pluralize(day.files, 'file')} and now has {pluralize(rows, 'row')} in {pluralize(files, 'file')}, or its "
                "files have other sizes. A resumed run needs the same rows: restore the files, or start a new run"
            )


def _find_faulty_day(sample: DaySample) -> list[Anomaly]:
    """Returns an anomaly if a day's sample has no row without a fault."""
    if sum(map(count_rows, sample.blocks)):
        return []
    reasons = [reason for reason, _ in Counter(sample.faults).most_common(_MAX_LISTED)]
    text = f"all {sample.num_read:,} rows that were read are faulty ({', '.join(reasons)})"
    return [Anomaly("faulty_rows", reasons[0].partition(":")[0], text)]


def _make_profile(log: CheckableLog, day: int, sample: DaySample) -> DayProfile:
    return DayProfile(
        log.days[day],
        sum(log.block_rows(day)),
        compute_column_statistics(sample.blocks, log.schema),
        repeated_share(sample.blocks),
        log.column_types(day),
    )


def _make_checked_day(
    log: CheckableLog, day: int, profile: DayProfile | None, anomalies: Sequence[Anomaly], settings: Files
) -> CheckedDay:
    columns = {} if profile is None else profile.columns
    return CheckedDay(
        name=log.days[day],
        rows=sum(log.block_rows(day)),
        files=len(log.day_files(day)),
        content=log.content(day),
        statistics={name: column.to_dict() for name, column in columns.items()},
        anomalies=tuple(anomalies),
        skipped=settings.on_anomalous_day == "skip" and any(anomaly.check in _SKIPPED_CHECKS for anomaly in anomalies),
    )


def _apply_policy(checked: Sequence[CheckedDay], settings: Files, new_names: set[str]) -> None:
    """Raises a UserError if the policy does not allow the anomalies."""
    if settings.on_anomalous_day == "fail":
        lines = [f"{day.name}: {anomaly}" for day in checked if day.name in new_names for anomaly in day.anomalies]
        if lines:
            raise UserError(
                f"the log has anomalies: {_list_some(lines)}. Fix the log, or set --config.data.files.on_anomalous_day=warn to train on it "
                "as it is, or =skip to skip the anomalous days"
            )
    # No policy for faulty rows can train on such a day, unless it may lose all its rows.
    faulty = [
        f"{day.name or settings.path}: {anomaly}"
        for day in checked
        for anomaly in day.anomalies
        if anomaly.check == "faulty_rows" and not day.skipped
    ]
    if faulty and (settings.on_invalid == "fail" or settings.max_invalid_share < 1):
        raise UserError(
            f"{_list_some(faulty)}. Fix the rows, correct the schema, or train without the day: "
            "--config.data.files.on_anomalous_day=skip"
        )
    skipped = [day for day in checked if day.skipped]
    if len(skipped) > settings.max_anomalous_share * len(checked):
        lines = [f"{day.name}: {anomaly}" for day in skipped for anomaly in day.anomalies]
        raise UserError(
            f"{len(skipped):,} of {pluralize(len(checked), 'day')} would be skipped, more than the allowed "
            f"{settings.max_anomalous_share:.0%}: {_list_some(lines)}. Fix the log, or allow more with "
            "--config.data.files.max_anomalous_share"
        )


def _list_some(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - _MAX_LISTED:,} more" if len(lines) > _MAX_LISTED else ""
    return "; ".join(lines[:_MAX_LISTED]) + more

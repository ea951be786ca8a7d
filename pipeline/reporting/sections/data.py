"""The section about the log: its days, skipped rows and anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....foundation.formatting import join_words, pluralize
from ..analysis.log_days import LogDay, read_days, sum_rows
from ..page_layout import escape, make_details, make_number_cell, make_paragraph, make_section, make_table
from ..record import RunRecord
from ..report_text import UNKNOWN, format_count
from .anomalies import format_use, make_anomalies_part
from .faulty_rows import FaultyRows, count_faulty_rows, describe_faulty_rows, make_faulty_rows_table
from .shift_map import make_shifts_part


def make_data_section(run: RunRecord) -> str:
    """Makes the section; empty if the run did not check the log, skipped or clamped no row, and found no leak."""
    days, faulty, leaks = read_days(run.log), count_faulty_rows(run), read_leaks(run)
    if not days and not faulty and not leaks:
        return ""
    used_rows = sum_rows([day for day in days if not day.is_skipped])
    parts = [
        make_paragraph(" ".join(_describe_log(run, days, faulty, used_rows))),
        _make_leaks_part(leaks),
        make_faulty_rows_table(faulty, used_rows),
        make_anomalies_part(days),
        make_shifts_part(run, days),
        make_details("All days", _make_days_table(days)) if days else "",
    ]
    return make_section("Data", "".join(parts))


def read_leaks(run: RunRecord) -> list[str]:
    """Returns a sentence for each feature that alone predicts a task."""
    leaks = run.status.get("leaks")
    return [leak for leak in leaks if isinstance(leak, str)] if isinstance(leaks, list) else []


def describe_leaks(run: RunRecord) -> str:
    """Names the possible leaks; empty if the run found none."""
    leaks = read_leaks(run)
    if not leaks:
        return ""
    verb = "is" if len(leaks) == 1 else "are"
    return f"The metrics may be too good: there {verb} {pluralize(len(leaks), 'possible leak')}. See the section Data."


def describe_skipped_days(run: RunRecord) -> str:
    """Names the skipped days; empty if the run skipped none."""
    days = [day for day in read_days(run.log) if day.is_skipped]
    if not days:
        return ""
    names = [day.name or "a day without a name" for day in days]
    day_list = join_words(names) if len(names) <= 3 else f"from {names[0]} to {names[-1]}"
    verb = "was" if len(days) == 1 else "were"
    return f"{pluralize(len(days), 'day')} of the log {verb} skipped: {day_list}. See the section Data."


def _make_leaks_part(leaks: Sequence[str]) -> str:
    if not leaks:
        return ""
    advice = "Remove such a feature from the schema unless its value is known before the outcome."
    return "".join(make_paragraph(text) for text in (*(f"Possible leak: {leak}." for leak in leaks), advice))


def _describe_log(run: RunRecord, days: Sequence[LogDay], faulty: FaultyRows, used_rows: float | None) -> list[str]:
    sentences = []
    if days:
        source = run.log.get("source") if isinstance(run.log, Mapping) else None
        rows = sum_rows(days)
        log = f"The log {source}" if source else "The log"
        sentences.append(
            f"{log} has {pluralize(len(days), 'day')}{f' and {format_count(rows)} rows' if rows is not None else ''}."
        )
        skipped = [day for day in days if day.is_skipped]
        if skipped:
            rows = sum_rows(skipped)
            verb = "was" if len(skipped) == 1 else "were"
            amount = f" ({format_count(rows)} rows)" if rows is not None else ""
            sentences.append(f"{pluralize(len(skipped), 'day')}{amount} {verb} skipped.")
        else:
            sentences.append("No days were skipped.")
    sentences += describe_faulty_rows(faulty, used_rows)
    if days and not faulty:
        sentences.append("No rows were skipped.")
    return sentences


def _make_days_table(days: Sequence[LogDay]) -> str:
    rows = []
    for day in days:
        anomalies = format_count(len(day.anomalies)) if day.anomalies else UNKNOWN
        cells = "".join(make_number_cell(text) for text in (format_count(day.rows), format_count(day.files), anomalies))
        rows.append(
            f'<tr><th scope="row">{escape(day.name or UNKNOWN)}</th><td>{escape(format_use(day))}</td>{cells}</tr>'
        )
    return make_table(["Day", "Use", "Rows", "Files", "Anomalies"], rows, "days")

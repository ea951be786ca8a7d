"""The anomalies that the checks found on the days of a log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ....foundation.formatting import pluralize
from ..analysis.log_days import Anomaly, LogDay
from ..analysis.numbers import is_finite
from ..page_layout import escape, make_details, make_number_cell, make_paragraph, make_table
from ..report_text import UNKNOWN, capitalize_first, format_count, format_decimal

MAX_SHOWN = 30
"""Largest number of anomalies in the open table."""

USE_NAMES: Mapping[str, str] = {"training": "training", "holdout": "held out", "skipped": "skipped"}
"""The page's words for each :data:`~.run_terms.DayUse`."""

_CHECK_TITLES = {
    "shifted": "shifted",
    "constant": "constant",
    "missing_values": "missing values",
    "unknown_values": "unknown values",
    "rows": "number of rows",
    "duplicates": "duplicate rows",
    "missing_day": "missing day",
    "empty": "empty",
    "undated": "no date",
    "faulty_rows": "faulty rows",
    "type": "changed type",
}


def make_anomalies_part(days: Sequence[LogDay]) -> str:
    """Makes the part of the data section about anomalies; empty without days."""
    anomalies = [(day, anomaly) for day in days for anomaly in day.anomalies]
    if not anomalies:
        return make_paragraph("The checks found no anomalies.") if days else ""
    clean = len(days) - len({id(day) for day, _ in anomalies})
    count = pluralize(len(anomalies), "anomaly", "anomalies")
    text = f"The checks found {count}. {clean:,} of {pluralize(len(days), 'day')} have none."
    shown_anomalies, full_table = anomalies, ""
    if len(anomalies) > MAX_SHOWN:
        shown_anomalies = _select_most_important(anomalies)
        text += f" The table shows the {MAX_SHOWN} most important ones: skipped days come first, then the largest anomalies."
        full_table = make_details(f"All {count}", _make_table(anomalies))
    return f"<h3>Anomalies</h3>{make_paragraph(text)}{_make_table(shown_anomalies)}{full_table}"


def format_use(day: LogDay) -> str:
    """Formats the use of a day."""
    return USE_NAMES.get(day.use, day.use) or UNKNOWN


def format_deviations(size: float) -> str:
    """Formats a number of standard deviations with its significant digits."""
    if not is_finite(size):
        return "no deviation before"
    if abs(size) < 100:
        return format_decimal(size, 2 if abs(size) < 10 else 1)
    return format_count(size) if abs(size) < 1e7 else format_decimal(size)


def _select_most_important(anomalies: Sequence[tuple[LogDay, Anomaly]]) -> list[tuple[LogDay, Anomaly]]:
    """Selects the anomalies of skipped days, then the highest scores; returns them in the order of the days."""
    importance = [(not day.is_skipped, -_measure(anomaly)) for day, anomaly in anomalies]
    selected = sorted(range(len(anomalies)), key=lambda index: importance[index])[:MAX_SHOWN]
    return [anomalies[index] for index in sorted(selected)]


def _measure(anomaly: Anomaly) -> float:
    """Returns the size of the anomaly's score; an anomaly without a score counts as much as the largest."""
    return abs(anomaly.score) if anomaly.score is not None and not math.isnan(anomaly.score) else math.inf


def _make_table(anomalies: Sequence[tuple[LogDay, Anomaly]]) -> str:
    rows = []
    for day, anomaly in anomalies:
        title = capitalize_first(_CHECK_TITLES.get(anomaly.check, anomaly.check) or UNKNOWN)
        score = f" ({format_deviations(anomaly.score)} standard deviations)" if is_finite(anomaly.score) else ""
        column = f"<code>{escape(anomaly.column)}</code>" if anomaly.column else "whole day"
        rows.append(
            f"<tr>{make_number_cell(day.name or UNKNOWN)}<td>{escape(format_use(day))}</td><td>{column}</td>"
            f"<td><strong>{escape(title)}</strong><small>{escape(f'{anomaly.text}{score}'.strip())}</small></td></tr>"
        )
    return make_table(["Day", "Use", "Column", "Anomaly"], rows, "anomalies")

"""The map of the shifts of a log's columns from day to day: legend, figure and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....foundation.formatting import format_percent
from ..analysis.column_shifts import (
    SMALLEST_SHIFT,
    WINDOW,
    ColumnShift,
    Statistic,
    compute_column_shifts,
    select_largest_shifts,
)
from ..analysis.log_days import LogDay, shorten_names
from ..figures.day_map import USE_COLORS, DayColumn, ShiftRow, draw_day_map
from ..figures.palette import INK, ORANGE, VERMILION
from ..page_layout import (
    escape,
    make_details,
    make_legend,
    make_number_cell,
    make_paragraph,
    make_responsive_figure,
    make_table,
)
from ..record import RunRecord
from ..report_text import UNKNOWN, format_decimal
from .anomalies import USE_NAMES, format_deviations

MAX_ROWS = 20
"""Largest number of rows in the map."""
MAX_DAYS = 90
"""Largest number of days in the figure, which shows the last ones."""

# If the numbers of rows differ by this share of the largest one, the days get a figure even without shifts.
_UNEVEN_SHARE = 0.1
_STATISTIC_NAMES: dict[Statistic, str] = {"mean": "mean", "missing": "share of missing values"}


def make_shifts_part(run: RunRecord, days: Sequence[LogDay]) -> str:
    """Makes the part of the data section with the figure of the days; empty if the figure would show nothing."""
    if len(days) < 2:
        return ""
    all_shifts = compute_column_shifts(days[-(MAX_DAYS + WINDOW) :])
    days = days[-MAX_DAYS:]
    labels = list(dict.fromkeys(str(task.get("label") or task.get("name") or "") for task in run.tasks))
    flagged = list(dict.fromkeys(anomaly.column for day in days for anomaly in day.anomalies))
    shifts, others = select_largest_shifts(
        [shift.select_last(len(days)) for shift in all_shifts], labels=labels, flagged=flagged, limit=MAX_ROWS
    )
    if not shifts and not _are_rows_worth_showing(days):
        return ""
    names, shared = shorten_names(days)
    columns = [DayColumn(name, day.rows, day.use, bool(day.anomalies)) for name, day in zip(names, days, strict=True)]
    rows = [_make_row(shift, days, labels) for shift in shifts]

    def draw(*, name: str, wide: bool) -> str:
        return draw_day_map(name, columns, rows, label=f"day ({shared}…)" if shared else "day", wide=wide)

    legend_and_figure = _make_legend(days, rows) + make_responsive_figure(draw, "days")
    last_days = f"The figure shows the last {MAX_DAYS} days." if len(days) == MAX_DAYS else ""
    if not rows:
        return f"<h3>Rows of each day</h3>{make_paragraph(last_days)}{legend_and_figure}"
    sentences = [
        "The shift of a column is the distance between its mean and its usual mean, in standard deviations. The usual mean is the "
        f"median over the previous {WINDOW} days. Rows marked “missing” show the same for the share of missing values. Shifts "
        f"below {SMALLEST_SHIFT} have no color. The first day has no shift, because no days precede it.",
        *([last_days] if last_days else []),
        *([f"The map shows the {len(shifts)} largest shifts; {others:,} others are smaller."] if others else []),
    ]
    numbers = make_details("Shifts by column in numbers", _make_table(shifts, days))
    return f"<h3>Column shifts</h3>{make_paragraph(' '.join(sentences))}{legend_and_figure}{numbers}"


def _are_rows_worth_showing(days: Sequence[LogDay]) -> bool:
    """Returns whether the days' numbers of rows differ, or a day was skipped or has anomalies."""
    rows = [day.rows for day in days if day.rows is not None]
    if not rows:
        return False
    return min(rows) < (1 - _UNEVEN_SHARE) * max(rows) or any(day.anomalies or day.is_skipped for day in days)


def _make_row(shift: ColumnShift, days: Sequence[LogDay], labels: Sequence[str]) -> ShiftRow:
    # An anomaly of missing values belongs to the row of missing values.
    is_missing = shift.statistic == "missing"
    flagged = [
        index
        for index, day in enumerate(days)
        if any(
            anomaly.column == shift.column and (anomaly.check == "missing_values") == is_missing
            for anomaly in day.anomalies
        )
    ]
    name = f"{shift.column}, missing" if is_missing else shift.column
    return ShiftRow(f"{name} (label)" if shift.column in labels else name, shift.shifts, flagged)


def _make_legend(days: Sequence[LogDay], rows: Sequence[ShiftRow]) -> str:
    uses = {day.use for day in days}
    has_bars = any(day.rows is not None for day in days)
    entries = [
        (f'<path d="M11 1.5h8v9h-8z" fill="{USE_COLORS[use]}"/>', USE_NAMES[use])
        for use in ("training", "holdout")
        if has_bars and use in uses and len(uses) > 1
    ]
    if "skipped" in uses:
        sign = f'<path d="M11 2l8 8M19 2l-8 8" stroke="{VERMILION}" stroke-width="2"/>'
        entries.append((sign, USE_NAMES["skipped"]))
    if any(day.anomalies and not day.is_skipped for day in days):
        entries.append((f'<path d="M15 2l4.5 8h-9z" fill="{ORANGE}"/>', "day with an anomaly"))
    if any(row.flagged for row in rows):
        circle = f'<circle cx="15" cy="6" r="4" fill="none" stroke="{INK}" stroke-width="1.4"/>'
        entries.append((circle, "anomaly in this column"))
    return make_legend(entries)


def _make_table(shifts: Sequence[ColumnShift], days: Sequence[LogDay]) -> str:
    rows = []
    for shift in shifts:
        index = int(np.argmax(np.nan_to_num(np.abs(shift.shifts), nan=-1.0, posinf=np.inf)))
        size, value = float(shift.shifts[index]), float(shift.values[index])
        is_known = not np.isnan(size)
        cells = [make_number_cell(_format_value(shift, float(shift.values[day]))) for day in (0, -1)]
        if is_known:
            cells.append(make_number_cell(_format_value(shift, value), days[index].name))
        else:
            cells.append(make_number_cell(UNKNOWN))
        cells.append(make_number_cell(format_deviations(size) if is_known else UNKNOWN))
        name = f"<code>{escape(shift.column)}</code><small>{_STATISTIC_NAMES[shift.statistic]}</small>"
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    heads = ["Column", "First day", "Last day", "At the largest shift", "Largest shift, standard deviations"]
    return make_table(heads, rows, "shifts")


def _format_value(shift: ColumnShift, value: float) -> str:
    if np.isnan(value):
        return UNKNOWN
    return format_percent(value) if shift.statistic == "missing" else format_decimal(value)

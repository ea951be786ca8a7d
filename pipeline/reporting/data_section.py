"""The section that says what the log was like: its days, the rows that were skipped, and what the checks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import days as log_days
from .day_figure import USES, Column, Row, draw_days
from .days import LEAST, WINDOW, Day, Finding, Movement
from .figures import ORANGE, VERMILION
from .parts import both, section
from .record import RunRecord
from .series import is_finite, number
from .svg import INK
from .tables import escaped, table
from .words import UNKNOWN, count, decimal, fine_percent, listed, plural

_ROWS = 20
"""Rows of the map."""
_DAYS = 90
"""Days in the figure, the last ones."""
_FINDINGS = 30
"""Findings in the table that is open."""
_UNEVEN = 0.1
"""From such a difference on, in shares of the largest day, the rows by day are worth a figure of their own."""
_CHECKS = {
    "shifted": "shifted",
    "constant": "constant",
    "missing_values": "missing values",
    "unknown_values": "unknown values",
    "rows": "number of rows",
    "duplicates": "duplicates",
    "missing_day": "missing day",
    "extra_column": "extra column",
    "missing_column": "missing column",
    "empty": "empty",
    "type": "other type",
}
_STATISTICS = {"mean": "mean", "missing": "missing share"}


def data_section(run: RunRecord) -> str:
    """The section; "" for a log that nobody looked at and of which no row was skipped."""
    days, skipped, clamped = log_days.read_days(run.log), _reasons(run, "skipped"), _reasons(run, "clamped")
    if not days and not _skipped_rows(run)[0] and not clamped:
        return ""
    parts = [f"<p>{escaped(' '.join(_said(run, days)))}</p>"]
    if skipped or clamped:
        parts.append(_faults_table(skipped, clamped, _rows(_used(days))))
    parts += [_found(days), _moved(run, days)]
    if days:
        parts.append(f"<details><summary>The days</summary>{_days_table(days)}</details>")
    return section("Data", "".join(parts))


def left_out(run: RunRecord) -> list[str]:
    """What the top of the page says of days that were left out; nothing when there were none."""
    days = [day for day in log_days.read_days(run.log) if day.use == "skipped"]
    if not days:
        return []
    names = [day.name or "one without a name" for day in days]
    which = listed(names) if len(names) <= 3 else f"from {names[0]} to {names[-1]}"
    was = "was" if len(days) == 1 else "were"
    return [f"{plural(len(days), 'day')} of the log {was} left out of training: {which}. See Data below."]


def _said(run: RunRecord, days: Sequence[Day]) -> list[str]:
    """What the log was, what was left out of it, and where that is kept."""
    said = []
    source = run.log.get("source") if isinstance(run.log, Mapping) else None
    if days:
        known = _rows(days)
        said.append(
            f"The log{f', {source},' if source else ''} has {plural(len(days), 'day')}"
            f"{f' and {count(known)} rows' if known is not None else ''}."
        )
        without = [day for day in days if day.use == "skipped"]
        if without:
            known = _rows(without)
            was = "was" if len(without) == 1 else "were"
            rows = f" ({count(known)} rows)" if known is not None else ""
            said.append(f"{plural(len(without), 'day')}{rows} {was} left out of training.")
        else:
            said.append("No day was left out.")
    total = _rows(_used(days))
    (skipped, exact), by_reason = _skipped_rows(run), _reasons(run, "clamped")
    clamped = sum(by_reason.values())
    if skipped:
        was = "row was" if skipped == 1 else "rows were"
        said.append(
            f"{'' if exact else 'At most '}{count(skipped)} {was} skipped{_share(skipped, total)} and trained nothing."
        )
    if clamped:
        at_most = "at most " if len(by_reason) > 1 else ""
        said.append(
            f"In {at_most}{count(clamped)} {'row' if clamped == 1 else 'rows'}{_share(clamped, total)} values were clamped."
        )
    if skipped or clamped:
        said.append("Faulty rows are kept in quarantine.jsonl, with file, row and reason.")
    elif days:
        said.append("No row was skipped.")
    return said


def _share(rows: float, total: float | None) -> str:
    return f" ({fine_percent(rows / total)})" if total else ""


def _rows(days: Sequence[Day]) -> float | None:
    """The rows of all these days; None when those of one of them are not known."""
    rows = [day.rows for day in days]
    known = [value for value in rows if value is not None]
    return sum(known) if len(known) == len(rows) else None


def _used(days: Sequence[Day]) -> list[Day]:
    return [day for day in days if day.use != "skipped"]


def _reasons(run: RunRecord, kind: str) -> dict[str, float]:
    """Rows by reason, the most first, of ``skipped`` or ``clamped``."""
    told = run.status.get(kind)
    found = told.items() if isinstance(told, Mapping) else ()
    known = {str(reason): number(rows) for reason, rows in found if is_finite(rows) and rows > 0}
    return dict(sorted(known.items(), key=lambda one: (-one[1], one[0])))


def _skipped_rows(run: RunRecord) -> tuple[float, bool]:
    """How many rows were skipped, and whether that is exact; else there may be fewer.

    A row with several faults counts for each of its reasons; a record may say how many rows they are together.
    """
    told = run.status.get("skipped_rows")
    if is_finite(told) and told >= 0:
        return number(told), True
    by_reason = list(_reasons(run, "skipped").values())
    if not by_reason:
        # A run that goes on has them in its metrics only.
        met = [number(line["skipped_examples"]) for line in run.train if is_finite(line.get("skipped_examples"))]
        return sum(value for value in met if value > 0), True
    return sum(by_reason), len(by_reason) == 1


def _faults_table(skipped: Mapping[str, float], clamped: Mapping[str, float], total: float | None) -> str:
    rows = [
        f'<tr><th scope="row">{escaped(reason)}</th><td>{what}</td><td class="number">{count(number_of)}</td>'
        f'<td class="number">{fine_percent(number_of / total) if total else UNKNOWN}</td></tr>'
        for what, reasons in (("skipped", skipped), ("clamped", clamped))
        for reason, number_of in reasons.items()
    ]
    several = len(skipped) > 1 or len(clamped) > 1
    note = '<p class="after">A row with several faults counts for each of them.</p>' if several else ""
    return table(["Reason", "What was done", "Rows", "Share"], rows, "faults") + note


def _found(days: Sequence[Day]) -> str:
    """The findings by day: the weightiest in a table, and where that is not all of them, all in another."""
    found = [(day, finding) for day in days for finding in day.findings]
    if not found:
        return "<p>The checks of the days found nothing.</p>" if days else ""
    clean = len(days) - len({id(day) for day, _ in found})
    first = found
    text = f"{plural(len(found), 'finding')}; {clean} of {plural(len(days), 'day')} without any."
    rest = ""
    if len(found) > _FINDINGS:
        weight = [(day.use != "skipped", -_size(finding)) for day, finding in found]
        chosen = sorted(sorted(range(len(found)), key=lambda place: weight[place])[:_FINDINGS])
        first = [found[place] for place in chosen]
        text += f" The {_FINDINGS} weightiest, those of days that were left out first:"
        rest = f"<details><summary>All {plural(len(found), 'finding')}</summary>{_findings_table(found)}</details>"
    return f"<h3>What the checks found</h3><p>{text}</p>{_findings_table(first)}{rest}"


def _size(finding: Finding) -> float:
    """The finding's score, as a number that can be sorted; one without a score weighs as much as any."""
    return abs(finding.score) if finding.score is not None and finding.score == finding.score else float("inf")


def _findings_table(found: Sequence[tuple[Day, Finding]]) -> str:
    rows = []
    for day, finding in found:
        what = _CHECKS.get(finding.check, finding.check) or UNKNOWN
        score = f" ({_deviations(finding.score)} usual deviations)" if is_finite(finding.score) else ""
        told = f"{finding.text}{score}".strip()
        rows.append(
            f'<tr><td class="number">{escaped(day.name or UNKNOWN)}</td><td>{escaped(day.use or UNKNOWN)}</td>'
            f"<td>{f'<code>{escaped(finding.column)}</code>' if finding.column else 'whole day'}</td>"
            f"<td><strong>{escaped(what[:1].upper() + what[1:])}</strong><small>{escaped(told)}</small></td></tr>"
        )
    return table(["Day", "Use", "Column", "What was found"], rows, "findings")


def _moved(run: RunRecord, days: Sequence[Day]) -> str:
    """How the columns moved over the days, and the rows of each; "" where neither says anything."""
    if len(days) < 2:
        return ""
    found = log_days.movements(days[-(_DAYS + WINDOW) :])
    days = days[-_DAYS:]
    labels = list(dict.fromkeys(str(task.get("label") or task.get("name") or "") for task in run.tasks))
    flagged = list(dict.fromkeys(finding.column for day in days for finding in day.findings))
    found = [_last(one, len(days)) for one in found]
    chosen, others = log_days.most_moved(found, labels=labels, flagged=flagged, limit=_ROWS)
    if not chosen and not _uneven(days):
        return ""
    names, shared = log_days.short_names(days)
    columns = [Column(name, day.rows, day.use, bool(day.findings)) for name, day in zip(names, days, strict=True)]
    rows = [_row(one, days, labels) for one in chosen]
    figure = both(
        lambda name, wide: draw_days(name, columns, rows, label=f"day ({shared}…)" if shared else "day", wide=wide),
        "days",
    )
    last = f" The last {_DAYS} days." if len(days) == _DAYS else ""
    if not rows:
        return f"<h3>Rows of each day</h3><p>{last.strip()}</p>{_key(days, rows)}{figure}"
    text = (
        "How far the mean of each column, and the share of its values that are missing, moved from what they were before: from "
        f"the median of the days before, {WINDOW} at most, in their deviations. Nothing stands before the first day. "
        f"Shifts below {LEAST} have no colour.{last}"
    )
    if others:
        text += f" The {len(chosen)} that moved most; {others} others moved less."
    numbers = f"<details><summary>The numbers by column</summary>{_movements_table(chosen, days)}</details>"
    return f"<h3>How the columns moved</h3><p>{text}</p>{_key(days, rows)}{figure}{numbers}"


def _last(one: Movement, days: int) -> Movement:
    return Movement(one.column, one.statistic, one.values[-days:], one.shifts[-days:])


def _uneven(days: Sequence[Day]) -> bool:
    """Whether the rows by day say something: that they differ, or that some days went another way."""
    rows = [day.rows for day in days if day.rows is not None]
    if not rows:
        return False
    return min(rows) < (1 - _UNEVEN) * max(rows) or any(day.findings or day.use == "skipped" for day in days)


def _row(one: Movement, days: Sequence[Day], labels: Sequence[str]) -> Row:
    # What was found of missing values stands in their row.
    missing = one.statistic == "missing"
    places = [
        place
        for place, day in enumerate(days)
        if any(each.column == one.column and (each.check == "missing_values") == missing for each in day.findings)
    ]
    name = f"{one.column}, missing" if missing else one.column
    return Row(f"{name} (label)" if one.column in labels else name, one.shifts, places)


def _key(days: Sequence[Day], rows: Sequence[Row]) -> str:
    """What the signs of the figure mean, for those that occur."""
    uses = {day.use for day in days}
    known = any(day.rows is not None for day in days)
    signs: list[tuple[str, str]] = []
    signs += [
        (f'<path d="M11 1.5h8v9h-8z" fill="{USES[use]}"/>', text)
        for use, text in (("training", "trained on"), ("holdout", "held out"))
        if known and use in uses and len(uses) > 1
    ]
    if "skipped" in uses:
        signs.append((f'<path d="M11 2l8 8M19 2l-8 8" stroke="{VERMILION}" stroke-width="2"/>', "skipped"))
    if any(day.findings and day.use != "skipped" for day in days):
        signs.append((f'<path d="M15 2l4.5 8h-9z" fill="{ORANGE}"/>', "something was found"))
    if any(row.flagged for row in rows):
        circle = f'<circle cx="15" cy="6" r="4" fill="none" stroke="{INK}" stroke-width="1.4"/>'
        signs.append((circle, "found in this column"))
    items = "".join(
        f'<li><svg viewBox="0 0 30 12" aria-hidden="true">{shape}</svg>{text}</li>' for shape, text in signs
    )
    return f'<ul class="key">{items}</ul>' if items else ""


def _movements_table(chosen: Sequence[Movement], days: Sequence[Day]) -> str:
    rows = []
    for one in chosen:
        place = int(np.argmax(np.nan_to_num(np.abs(one.shifts), nan=-1.0, posinf=np.inf)))
        shift, value = float(one.shifts[place]), float(one.values[place])
        cells = [_value(one, float(one.values[day])) for day in (0, -1)]
        cells.append(f"{_value(one, value)}<small>{escaped(days[place].name)}</small>" if shift == shift else UNKNOWN)
        cells.append(_deviations(shift) if shift == shift else UNKNOWN)
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(
            f'<tr><th scope="row"><code>{escaped(one.column)}</code><small>{_STATISTICS[one.statistic]}</small></th>'
            f"{numbers}</tr>"
        )
    return table(["Column", "First day", "Last day", "Farthest from before", "Shift"], rows, "moved")


def _value(one: Movement, value: float) -> str:
    if value != value:
        return UNKNOWN
    return fine_percent(value) if one.statistic == "missing" else decimal(value)


def _deviations(size: float) -> str:
    """A number of deviations: two decimals are enough, and none where there are many."""
    if not is_finite(size):
        return "no deviation before"
    return decimal(size, 2) if abs(size) < 100 else count(size) if abs(size) < 1e7 else decimal(size)


def _days_table(days: Sequence[Day]) -> str:
    rows = [
        f'<tr><th scope="row">{escaped(day.name or UNKNOWN)}</th><td>{escaped(day.use or UNKNOWN)}</td>'
        f'<td class="number">{count(day.rows)}</td><td class="number">{count(day.files)}</td>'
        f'<td class="number">{count(len(day.findings)) if day.findings else UNKNOWN}</td></tr>'
        for day in days
    ]
    return table(["Day", "Use", "Rows", "Files", "Findings"], rows, "days")

"""Counts and describes the rows of a log that a run skipped or clamped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ....foundation.formatting import format_percent, pluralize
from ..analysis.numbers import is_finite, to_float
from ..page_layout import escape, make_number_cell, make_paragraph, make_table
from ..record import RunRecord
from ..report_text import UNKNOWN, format_count


@dataclasses.dataclass(frozen=True)
class FaultyRows:
    """The faulty rows of a run.

    Attributes:
      skipped: Number of skipped rows.
      is_exact: Whether ``skipped`` is exact. If the run recorded several reasons but no total, ``skipped`` is an upper
        bound, because a row with several faults counts for each of its reasons.
      skipped_by_reason: Skipped rows by reason, the most frequent first.
      clamped_by_reason: Rows with a clamped value by reason, the most frequent first.
    """

    skipped: float
    is_exact: bool
    skipped_by_reason: Mapping[str, float]
    clamped_by_reason: Mapping[str, float]

    def __bool__(self) -> bool:
        return bool(self.skipped or self.skipped_by_reason or self.clamped_by_reason)


def count_faulty_rows(run: RunRecord) -> FaultyRows:
    """Counts the faulty rows of a run."""
    by_reason = _read_reasons(run.status.get("skipped"))
    total = run.status.get("skipped_rows")
    if is_finite(total) and total >= 0:
        skipped, is_exact = to_float(total), True
    elif by_reason:
        skipped, is_exact = sum(by_reason.values()), len(by_reason) == 1
    else:
        # During a run, only its metrics contain the rows skipped so far.
        published = [
            to_float(line["skipped_examples"]) for line in run.train if is_finite(line.get("skipped_examples"))
        ]
        skipped, is_exact = sum(value for value in published if value > 0), True
    return FaultyRows(skipped, is_exact, by_reason, _read_reasons(run.status.get("clamped")))


def describe_faulty_rows(faulty: FaultyRows, total: float | None) -> list[str]:
    """Describes how many rows were skipped and clamped, and which file lists them; empty without faulty rows.

    Args:
      faulty: The faulty rows.
      total: Number of rows of all days that were used; None if unknown.
    """
    sentences = []
    clamped = sum(faulty.clamped_by_reason.values())
    if faulty.skipped:
        rows = pluralize(round(faulty.skipped), "row") + _format_share(faulty.skipped, total)
        verb = "was" if faulty.skipped == 1 else "were"
        sentences.append(f"{rows if faulty.is_exact else f'At most {rows}'} {verb} skipped.")
    if clamped:
        rows = pluralize(round(clamped), "row") + _format_share(clamped, total)
        at_most = "at most " if len(faulty.clamped_by_reason) > 1 else ""
        sentences.append(f"Values were clamped in {at_most}{rows}.")
    if sentences:
        sentences.append("The file quarantine.jsonl lists the faulty rows with file, row and reason.")
    return sentences


def make_faulty_rows_table(faulty: FaultyRows, total: float | None) -> str:
    """Makes the table of reasons; empty if no reason was recorded."""
    groups = (("skipped", faulty.skipped_by_reason), ("clamped", faulty.clamped_by_reason))
    rows = [
        f'<tr><th scope="row">{escape(reason)}</th><td>{action}</td>{make_number_cell(format_count(count))}'
        f"{make_number_cell(format_percent(count / total) if total else UNKNOWN)}</tr>"
        for action, reasons in groups
        for reason, count in reasons.items()
    ]
    if not rows:
        return ""
    has_several = any(len(reasons) > 1 for _, reasons in groups)
    note = make_paragraph("A row with several faults counts for each of them.", "after") if has_several else ""
    return make_table(["Reason", "Action", "Rows", "Share"], rows, "faults") + note


def _read_reasons(counts: Any) -> dict[str, float]:
    items = counts.items() if isinstance(counts, Mapping) else ()
    known = {str(reason): to_float(rows) for reason, rows in items if is_finite(rows) and rows > 0}
    return dict(sorted(known.items(), key=lambda item: (-item[1], item[0])))


def _format_share(rows: float, total: float | None) -> str:
    return f" ({format_percent(rows / total)})" if total else ""

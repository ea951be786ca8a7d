"""The section with the result of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....foundation.formatting import join_words
from ..analysis.numbers import is_number
from ..analysis.scores import TaskScore, compute_scores, select_judging_lines
from ..page_layout import escape, make_number_cell, make_paragraph, make_section, make_table
from ..record import RunRecord
from ..report_text import UNKNOWN, format_count, format_gap_share, format_plain, format_score


def make_tasks_section(run: RunRecord) -> str:
    """Makes the section."""
    if not run.tasks:
        return make_section("Tasks", make_paragraph("The run recorded no task."))
    lines = select_judging_lines(run.evaluation)
    scores = compute_scores(run.tasks, run.evaluation)
    sentences = [f"Measured on {describe_judging_days(lines)}." if lines else "No day has been evaluated yet."]
    if len(lines) > 1:
        sentences.append("Averages over the days are weighted by rows.")
    sentences.append(
        "A higher AUC and a lower RMSE are better. Chance is an AUC of 0.5, or the RMSE of predicting the mean label."
    )
    if any(score.ceiling is not None for score in scores):
        sentences.append(
            "The ceiling is the result of the best possible ranker, which is known because the log is simulated. The bars show "
            "the share of the gap between chance and the ceiling that the ranker closes."
        )
    is_held_out = not lines or lines[0].get("kind") == "holdout"
    title = "Tasks on the held-out days" if is_held_out else "Tasks on the last evaluated day"
    return make_section(title, make_paragraph(" ".join(sentences)) + _make_table(scores))


def describe_judging_days(lines: Sequence[Mapping[str, Any]]) -> str:
    """Names the days of :func:`~.scores.select_judging_lines`: ``the held-out day (day_011, 65,536 rows)``."""
    names = [str(line.get("day", "without a name")) for line in lines]
    days = join_words(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"
    rows = [line.get("rows") for line in lines]
    total = f", {format_count(sum(rows))} rows" if all(is_number(value) for value in rows) else ""
    if lines[0].get("kind") == "holdout":
        return f"the held-out day{'s' * (len(names) > 1)} ({days}{total})"
    return f"the last day evaluated before training on it ({days}{total})"


def _make_table(scores: Sequence[TaskScore]) -> str:
    has_ceiling = any(score.ceiling is not None for score in scores)
    heads = ["Task", "Result", "Chance", *(["Ceiling", "Gap closed"] if has_ceiling else [])]
    rows = []
    for score in scores:
        weight = f", weight {format_plain(score.weight)}" if score.weight not in (None, 1) else ""
        result = f"<strong>{format_score(score, score.result)}</strong><small>{score.measure}</small>"
        cells = [
            f'<th scope="row">{escape(score.task)}<small>{escape(score.kind + weight)}</small></th>',
            f'<td class="number">{result}</td>',
            make_number_cell(format_score(score, score.chance)),
        ]
        if has_ceiling:
            cells += [make_number_cell(format_score(score, score.ceiling)), f"<td>{_draw_bar(score.gap_closed)}</td>"]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return make_table(heads, rows, "tasks")


def _draw_bar(share: float | None) -> str:
    if share is None:
        return f'<span class="share">{UNKNOWN}</span>'
    width = 100 * min(max(share, 0.0), 1.0)
    text = format_gap_share(share) if share > 0 else "none"
    return f'<span class="bar"><span style="width:{width:.1f}%"></span></span><span class="share">{text}</span>'

"""A proposal as text for a terminal: what the ranker predicts, what may be a label, and what is left out and why."""

from __future__ import annotations

from collections.abc import Sequence

from ....foundation.formatting import pluralize
from .column_proposal import ColumnProposal, to_one_line
from .proposal import SchemaProposal
from .yaml_text import format_days

_MAX_NAME, _MAX_TEXT = 32, 240


def format_summary(proposal: SchemaProposal) -> list[str]:
    """Formats the roles of the columns as a few tables.

    Args:
      proposal: The proposal.
    """
    lines = [
        f"Read {proposal.sampled_rows:,} of {pluralize(proposal.rows, 'row')}, {pluralize(len(proposal.columns), 'column')}.",
        format_days(proposal.days),
    ]
    lines += [
        f"{folder}: left out, because its rows have no date. Remove the folder, or train without it: "
        "--config.data.files.on_anomalous_day=skip"
        for folder in proposal.undated_folders
    ]
    excluded = [column for column in proposal.columns if column.is_excluded and not column.may_be_label]
    lines += _format_table("Tasks", [(c, _describe_task(c)) for c in proposal.tasks])
    lines += [f"  {name} was not checked for leaks: {why}" for name, why in proposal.unchecked_tasks.items()]
    lines += _format_table(
        "Weight of each row", [(c, f"example_weight of all tasks: {c.summary}") for c in proposal.weights]
    )
    candidates = [(c, f"{c.exclusion_reason} {c.summary}") for c in proposal.candidates]
    lines += _format_table("May be labels, left out", candidates)
    lines += _format_table("Left out", [(c, c.exclusion_reason) for c in excluded])
    lines += _format_table("Features", [(c, _describe_feature(c)) for c in proposal.features])
    return lines


def _format_table(title: str, rows: Sequence[tuple[ColumnProposal, str]]) -> list[str]:
    if not rows:
        return []
    names = [_shorten(to_one_line(column.name), _MAX_NAME) for column, _ in rows]
    width = max(map(len, names))
    texts = (_shorten(to_one_line(text), _MAX_TEXT) for _, text in rows)
    return ["", f"{title}:", *(f"  {name:{width}}  {text}" for name, text in zip(names, texts, strict=True))]


def _describe_task(column: ColumnProposal) -> str:
    assert column.task is not None
    return f"{column.task.kind}: {column.summary}"


def _describe_feature(column: ColumnProposal) -> str:
    feature = column.feature
    assert feature is not None
    table = f", shares the table of {feature.table}" if feature.table else ""
    renamed = f", named {feature.name}" if feature.column else ""
    return f"{feature.kind}{table}{renamed}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"

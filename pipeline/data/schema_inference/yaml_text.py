"""Formats a proposal as the text of a YAML file: the schema, with a comment on each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml

from ....foundation.formatting import pluralize
from ....models.schema import Feature, Task
from .column_proposal import ColumnProposal, to_one_line
from .proposal import SchemaProposal

# Longer than any line: PyYAML must not break it.
_NO_LINE_BREAKS = 10**9


def format_proposal(proposal: SchemaProposal, path: str) -> str:
    """Formats a proposal as YAML that :func:`~..config.yaml_files.read` reads back as a schema.

    A column that is left out has the entry that it would have, as a comment, if training could read it.

    Args:
      proposal: The proposal.
      path: The log's path, for the first comment.
    """
    days = format_days(proposal.days)
    lines = [
        f"# Proposed schema for {to_one_line(path)} ({pluralize(proposal.rows, 'row')}), based on a sample of "
        f"{pluralize(proposal.sampled_rows, 'row')}.",
        f"# {days}",
        "# Correct it, then train with:",
        "#   --config.data.source=files --config.data.files.path=... --config.data.files.schema=THIS_FILE",
        "features:",
    ]
    for column in proposal.features:
        lines += _format_item(column)
    if not proposal.features:
        lines.append("  []  # no column that a ranker can read was found")
    lines += ["", "tasks:"]
    for column in proposal.tasks:
        lines += _format_item(column)
    if not proposal.tasks:
        lines.append("  []  # no label was found: name the columns to predict with --labels")
    for name, reason in proposal.unchecked_tasks.items():
        lines.append(f"  # {name} was not checked for leaks: {reason}")
    for column in proposal.weights:
        name, values = _format_value(column.name), to_one_line(column.summary)
        lines += ["", f"# {name}: {values}", "# the weight of each row, as example_weight of the tasks"]
    for column in proposal.columns:
        if column.is_excluded:
            lines += _format_excluded(column)
    return "\n".join(lines) + "\n"


def format_days(days: Sequence[str]) -> str:
    """Formats the days of a log in one sentence, because their order decides what a run is judged by.

    Example:
    >>> format_days(["day=1", "day=2", "day=10"])
    '3 days, day=1 … day=10; a run holds out the last (data.holdout_days).'
    """
    if not any(days):
        return "No folders of days; a run cuts the rows into data.files.periods, in the order of the files."
    names = " … ".join(dict.fromkeys([days[0], days[-1]]))
    return f"{pluralize(len(days), 'day')}, {names}; a run holds out the last (data.holdout_days)."


def _format_fields(item: Feature | Task) -> list[str]:
    """Formats one entry of a list, without the fields that have their default."""
    values = {
        field.name: getattr(item, field.name)
        for field in dataclasses.fields(item)
        if getattr(item, field.name) != field.default
    }
    # The dataclasses fill these in themselves.
    if values.get("label") == values["name"]:
        del values["label"]
    if values["kind"] == "numerical" or values.get("dtype") == "int64":
        values.pop("dtype", None)
    lines = []
    for index, (name, value) in enumerate(values.items()):
        is_list = isinstance(value, tuple)
        text = f"[{', '.join(map(_format_value, value))}]" if is_list else _format_value(value)
        lines.append(f"  {'  ' if index else '- '}{name}: {text}")
    return lines


def _format_item(column: ColumnProposal) -> list[str]:
    item = column.feature or column.task
    assert item is not None
    return [f"  # {to_one_line(column.summary)}", *_format_fields(item)]


def _format_excluded(column: ColumnProposal) -> list[str]:
    item = column.feature or column.task
    return [
        "",
        f"# {_format_value(column.name)}: {to_one_line(column.summary)}",
        f"# left out: {to_one_line(column.exclusion_reason)}",
        *(f"#{line}" for line in (_format_fields(item) if item else ())),
    ]


def _format_value(value: Any) -> str:
    """Formats a value on one line, quoted where YAML requires it, also within a list."""
    if not isinstance(value, str):
        return yaml.safe_dump(value, default_flow_style=True, width=_NO_LINE_BREAKS).removesuffix("\n...\n").strip()
    # Only double quotes write a line break as an escape.
    style = None if value.isprintable() else '"'
    # Inside a list, more characters need quotes, such as commas. PyYAML adds these quotes only for a whole list.
    return yaml.safe_dump([value], default_flow_style=True, default_style=style, width=_NO_LINE_BREAKS).strip()[1:-1]

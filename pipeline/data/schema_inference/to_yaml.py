"""A proposal as the text of a YAML file: the schema, and beside each column what was seen of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from .proposal import Proposal


def to_yaml(proposal: Proposal, path: str) -> str:
    """The text; :func:`..config.yaml_files.read` reads it back."""
    days = f"{len(proposal.days)} days, " if proposal.days[0] else ""
    lines = [
        f"# Proposed for {path}: {days}{proposal.rows:,} rows, of which {proposal.looked_at:,} were looked at.",
        "# Correct it and train: --config.data.source=files --config.data.files.path=... --config.data.files.schema=THIS FILE",
        "features:",
    ]
    for column in proposal.columns:
        if column.feature:
            lines += _item(column.feature, column.seen)
    if not any(column.feature for column in proposal.columns):
        lines.append("  []  # nothing was found that a ranker reads")
    lines += ["", "tasks:"]
    tasks = [column for column in proposal.columns if column.task]
    for column in tasks:
        lines += _item(column.task, column.seen)
    if not tasks:
        lines.append("  []  # what is to be predicted? name its columns by --labels, or move some here from above")
    left = [column for column in proposal.columns if column.why_not]
    if left:
        lines += [
            "",
            "# Left out:",
            *(f"#   {_word(column.name)}: {column.why_not} ({column.seen})" for column in left),
        ]
    return "\n".join(lines) + "\n"


def _item(item: Any, seen: str) -> list[str]:
    given = {
        field.name: getattr(item, field.name)
        for field in dataclasses.fields(item)
        if getattr(item, field.name) != field.default
    }
    # What a dataclass fills in itself need not stand there.
    if given.get("label") == given["name"]:
        del given["label"]
    if (given["kind"] != "numerical" and given.get("dtype") == "int64") or given["kind"] == "numerical":
        given.pop("dtype", None)
    lines = [f"# {seen}"]
    for i, (name, value) in enumerate(given.items()):
        text = f"[{', '.join(_word(each) for each in value)}]" if isinstance(value, tuple) else _word(value)
        lines.append(f"{'  ' if i else '- '}{name}: {text}")
    return [f"  {line}" for line in lines]


def _word(value: Any) -> str:
    """A value on one line, quoted where YAML needs it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n").strip()
    # Within a list a plain comma or bracket ends a value; YAML's own writer knows this only of the list.
    return (
        yaml.safe_dump([value], default_flow_style=True, width=10**9).strip()[1:-1] if isinstance(value, str) else text
    )

"""The proposal for one column, and names that a schema accepts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from ....models.schema import Feature, FeatureKind, Task, TaskKind, is_reserved


@dataclasses.dataclass(frozen=True)
class ColumnProposal:
    """One column of a log and its proposed role in the schema.

    Exactly one of ``feature``, ``task`` and ``exclusion_reason`` is set.

    Attributes:
      name: The column's name in the log.
      summary: Its type and values in a few words.
      feature: The proposed feature.
      task: The proposed task.
      exclusion_reason: Why the column is left out, as text that follows a colon; empty for a feature or a task.
    """

    name: str
    summary: str
    feature: Feature | None = None
    task: Task | None = None
    exclusion_reason: str = ""


def make_feature(column: str, kind: FeatureKind, **arguments: Any) -> Feature:
    """Makes the feature of a log's column; the feature gets a valid name and keeps the column's name as ``column``.

    Example:
    >>> feature = make_feature("Age (years)", "numerical")
    >>> feature.name, feature.column
    ('Age__years_', 'Age (years)')
    """
    name = make_valid_name(column)
    return Feature(name=name, kind=kind, column="" if name == column else column, **arguments)


def make_task(column: str, kind: TaskKind, weight: float) -> Task:
    """Makes the task of a label's column; see :func:`make_feature`."""
    name = make_valid_name(column)
    return Task(name, kind, label="" if name == column else column, weight=weight)


def make_valid_name(column: str) -> str:
    """Converts a column's name to letters, digits and underscores, starting with a letter, and not a Python keyword.

    Example:
    >>> make_valid_name("user/age"), make_valid_name("2nd"), make_valid_name("class")
    ('user_age', 'x_2nd', 'class_')
    """
    name = re.sub(r"\W", "_", column, flags=re.ASCII)
    if is_reserved(name):
        return f"{name}_"
    return name if re.match(r"[A-Za-z]", name) else f"x_{name}"

"""The proposal for one column, and names that a schema accepts."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from ....models.schema import Feature, FeatureKind, Task, TaskKind, is_reserved


@dataclasses.dataclass(frozen=True)
class ColumnProposal:
    """One column of a log and its proposed role in the schema.

    Exactly one of ``feature``, ``task``, ``is_weight`` and ``exclusion_reason`` is set, except that a column that is left out
    may have the role that it could have.

    Attributes:
      name: The column's name in the log.
      summary: Its type and values in a few words.
      feature: The proposed feature.
      task: The proposed task.
      exclusion_reason: Why the column is left out, as text that follows a colon; empty for a feature or a task.
      may_be_label: Whether the column is left out because it may be a label.
      is_weight: Whether the column holds the weight of each row.
    """

    name: str
    summary: str
    feature: Feature | None = None
    task: Task | None = None
    exclusion_reason: str = ""
    may_be_label: bool = False
    is_weight: bool = False

    @property
    def is_excluded(self) -> bool:
        """Whether the column is left out."""
        return bool(self.exclusion_reason)

    def exclude(self, reason: str, **changes: Any) -> ColumnProposal:
        """Returns the proposal for the column if it is left out; the feature or task stays as what it could become."""
        return dataclasses.replace(self, exclusion_reason=reason, **changes)

    def rename(self, name: str) -> ColumnProposal:
        """Returns the proposal with another name for the feature or task."""
        if self.feature:
            column = "" if name == self.name else self.name
            return dataclasses.replace(self, feature=dataclasses.replace(self.feature, name=name, column=column))
        if self.task:
            return dataclasses.replace(self, task=dataclasses.replace(self.task, name=name, label=self.name))
        return self


def make_feature(column: str, kind: FeatureKind, **arguments: Any) -> Feature:
    """Makes the feature of a log's column; the feature gets a valid name and keeps the column's name as ``column``.

    Example:
    >>> feature = make_feature("Age (years)", "numerical")
    >>> feature.name, feature.column
    ('Age__years_', 'Age (years)')
    """
    name = make_valid_name(column)
    return Feature(name=name, kind=kind, column="" if name == column else column, **arguments)


def make_task(column: str, kind: TaskKind, **arguments: Any) -> Task:
    """Makes the task of a label's column; see :func:`make_feature`."""
    name = make_valid_name(column)
    return Task(name, kind, label="" if name == column else column, **arguments)


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


def make_unique_names(columns: Sequence[str]) -> dict[str, str]:
    """Returns a valid name for each column, each name once.

    Columns whose valid names are equal, or differ only in case, get a suffix that depends only on the column, so that the
    names do not depend on the order of the columns. One column that is valid itself keeps its name.

    Example:
    >>> make_unique_names(["age", "age (years)", "age [years]"])
    {'age': 'age', 'age (years)': 'age__years__4b35', 'age [years]': 'age__years__0cee'}
    """
    valid = {column: make_valid_name(column) for column in columns}
    by_lower: dict[str, list[str]] = {}
    for column, name in valid.items():
        by_lower.setdefault(name.lower(), []).append(column)
    owners = set()
    for group in by_lower.values():
        candidates = [column for column in group if valid[column] == column or len(group) == 1]
        # The last in the order of the alphabet, so that age goes before Age.
        owners |= {max(candidates)} if candidates else set()
    names = {column: name for column, name in valid.items() if column in owners}
    taken = {name.lower() for name in names.values()}
    for column in valid:
        if column not in owners:
            digest = hashlib.sha256(column.encode("utf-8", "surrogatepass")).hexdigest()
            longer = (f"{valid[column]}_{digest[:end]}" for end in range(4, len(digest) + 1))
            names[column] = next(name for name in longer if name.lower() not in taken)
            taken.add(names[column].lower())
    return {column: names[column] for column in valid}


def to_one_line(text: str) -> str:
    """Replaces unprintable characters, such as line breaks, so that the text fits in a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)

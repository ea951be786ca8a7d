"""Finds every value that its field does not allow."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterator
from typing import Any

from .fields import Constraint, get_constraint
from .tree import field_types, item_type, join_path, literal_choices


def find_problems(section: Any, path: str = "") -> Iterator[str]:
    """Yields one line for each value that is outside its ``Literal`` type or its :class:`~.fields.Constraint`.

    Args:
      section: A dataclass; its nested sections are checked too.
      path: The section's dotted path, with which each line starts.

    Example:
    >>> from steadyrank.pipeline.config.settings import Training
    >>> list(find_problems(Training(seed=-1), "training"))
    ['training.seed must be an integer of 0 or more, got -1']
    """
    types = field_types(section.__class__)
    for field in dataclasses.fields(section):
        value, where = getattr(section, field.name), join_path(path, field.name)
        constraint, annotation = get_constraint(field), types[field.name]
        if not isinstance(value, tuple):
            yield from _find_value_problems(value, annotation, constraint, where)
            continue
        for i, item in enumerate(value):
            yield from _find_value_problems(item, item_type(annotation), constraint, f"{where}[{i}]")


def suggest(name: str, known: Collection[str]) -> str:
    """Returns ``; did you mean 'NAME'?`` for the known name nearest to a wrong one, or nothing if none is near."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def _find_value_problems(value: Any, annotation: Any, constraint: Constraint, where: str) -> Iterator[str]:
    if dataclasses.is_dataclass(value):
        yield from find_problems(value, where)
        return
    choices = constraint.choices or literal_choices(annotation)
    if choices and value not in choices:
        yield f"{where} must be one of {', '.join(choices)}, got {value!r}{suggest(str(value), choices)}"
    if annotation in (int, float) and not constraint.allows(value):
        noun = "an integer" if annotation is int else "a finite number"
        allowed = constraint.describe_range()
        # "a number of 1 or more", but "a number from 0 to 1" and "a number above 0".
        preposition = " of" if allowed[:1].isdigit() else ""
        yield f"{where} must be {noun}{preposition} {allowed}".rstrip() + f", got {value}"
    if constraint.is_pattern:
        try:
            re.compile(value)
        except re.error as error:
            yield f"{where} must be a regular expression, got {value!r}: {error}"

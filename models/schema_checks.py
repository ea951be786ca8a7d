"""Checks of the arguments of a schema. Each raises a ValueError that names the argument and the value."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(noun: str, name: str) -> None:
    """Checks the name of a feature or a task."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"a {noun}'s name must consist of letters, digits and underscores and start with a letter, got {name!r}"
        )


def check_unique_names(noun: str, names: list[str]) -> None:
    """Checks that there is a name, and each name once."""
    if not names:
        raise ValueError(f"a schema needs at least one {noun}, got none")
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f"two {noun}s are named '{repeated}'; each name must be unique")


def check_names_differ_in_more_than_case(names: list[str]) -> None:
    """Checks what TensorFlow requires of the inputs of a SavedModel."""
    first_of_lower: dict[str, str] = {}
    for name in names:
        first = first_of_lower.setdefault(name.lower(), name)
        if first != name:
            raise ValueError(
                f"the features '{first}' and '{name}' differ only in case, which the inputs of an exported model cannot; "
                "rename one of them, and set its column to its name in the log"
            )


def check_choice(subject: str, value: str, choices: tuple[str, ...]) -> None:
    """Checks that a value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{subject} must be one of {', '.join(choices)}, got {value!r}")


def check_bounds(subject: str, minimum: float | None, maximum: float | None) -> None:
    """Checks that the bounds are finite numbers, the minimum not above the maximum."""
    for name, bound in (("minimum", minimum), ("maximum", maximum)):
        if bound is not None and not is_float32(bound):
            raise ValueError(f"{subject}: {name} must be a finite number, got {bound}")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"{subject}: minimum must not be above maximum, got {minimum} and {maximum}")


def is_float32(number: float) -> bool:
    """Returns whether a number is finite in float32, which columns of numbers and labels have."""
    return abs(number) <= float(np.finfo(np.float32).max)


def replace_missing_bounds(minimum: float | None, maximum: float | None) -> tuple[float, float]:
    """Returns the bounds, infinite where there is none."""
    return -np.inf if minimum is None else minimum, np.inf if maximum is None else maximum

"""Constraints on the values of settings. Each constraint is declared together with its setting."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

T = TypeVar("T")

_METADATA_KEY = "constraint"


@dataclasses.dataclass(frozen=True)
class Constraint:
    """The values that a setting may take, in addition to its type.

    A constraint of a list applies to each of its items.

    Attributes:
      minimum: The smallest number.
      maximum: The largest number.
      above: An exclusive lower bound.
      choices: The allowed strings. For a set that never changes, use a ``Literal`` type instead.
      is_pattern: Whether the string must be a regular expression.
      note: A sentence that ``--help`` adds to the setting's description.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    is_pattern: bool = False
    note: str = ""

    def allows(self, number: float) -> bool:
        """Whether a number is finite and within the bounds."""
        return (
            math.isfinite(number)
            and (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.above is None or number > self.above)
        )

    def to_metadata(self) -> dict[str, Constraint]:
        """Returns the ``metadata`` for a :func:`dataclasses.field` that :func:`setting` cannot declare."""
        return {_METADATA_KEY: self}

    def describe_range(self) -> str:
        """Describes the bounds, such as ``1 or more``; empty if there are none.

        Example:
        >>> Constraint(minimum=0, maximum=1).describe_range(), Constraint(above=0, maximum=1).describe_range()
        ('from 0 to 1', 'above 0 and at most 1')
        """
        if self.above is not None:
            return f"above {self.above}" + ("" if self.maximum is None else f" and at most {self.maximum}")
        if self.minimum is not None:
            return f"{self.minimum} or more" if self.maximum is None else f"from {self.minimum} to {self.maximum}"
        return "" if self.maximum is None else f"at most {self.maximum}"


def setting(
    default: T,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
    is_pattern: bool = False,
) -> T:
    """Declares a setting with its default and its constraint; use it like :func:`dataclasses.field`.

    Args:
      default: The default, an immutable value.
      minimum, maximum, above, choices, is_pattern: See :class:`Constraint`.

    Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Section:
    ...     batch_size: int = setting(64, minimum=1)
    >>> Section().batch_size
    64
    """
    constraint = Constraint(minimum, maximum, above, choices, is_pattern)
    return dataclasses.field(default=default, metadata=constraint.to_metadata())


def get_constraint(field: dataclasses.Field[Any]) -> Constraint:
    """Returns the constraint that :func:`setting` declared for a field."""
    return field.metadata.get(_METADATA_KEY, Constraint())

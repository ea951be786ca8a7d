"""The constraints of settings."""

from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.config.fields import Constraint, get_constraint, setting


@dataclasses.dataclass(frozen=True)
class Section:
    rows: int = setting(3, minimum=1)
    free: str = "x"


@pytest.mark.parametrize(
    ("constraint", "allowed", "refused", "text"),
    [
        (Constraint(), [-1e300, 0, 1e300], [math.inf, -math.inf, math.nan], ""),
        (Constraint(minimum=1), [1, 2], [0, 0.999, math.nan], "1 or more"),
        (Constraint(maximum=1), [1, -5], [1.001], "at most 1"),
        (Constraint(minimum=0, maximum=1), [0, 0.5, 1], [-0.001, 1.001], "from 0 to 1"),
        (Constraint(above=0), [0.001], [0, -1], "above 0"),
        (Constraint(above=0, maximum=1), [0.001, 1], [0, 1.001], "above 0 and at most 1"),
    ],
)
def test_a_constraint_allows_the_numbers_that_it_describes(constraint, allowed, refused, text):
    assert all(constraint.allows(number) for number in allowed)
    assert not any(constraint.allows(number) for number in refused)
    assert constraint.describe_range() == text


def test_a_setting_is_a_field_with_a_default_and_a_constraint():
    rows, free = dataclasses.fields(Section)
    assert (Section().rows, Section(rows=5).rows) == (3, 5)
    assert get_constraint(rows) == Constraint(minimum=1)
    assert get_constraint(free) == Constraint()

from __future__ import annotations

import math

import numpy as np
import pytest

from steadyrank.pipeline.reporting.analysis.numbers import is_finite, is_number, to_float


@pytest.mark.parametrize("value", [0, 1.5, math.nan, math.inf, 10**400, np.float32(1)])
def test_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, None, "3", [1], {}])
def test_other_values_are_not_numbers(value):
    assert not is_number(value)
    assert not is_finite(value)


def test_an_integer_that_is_too_large_for_a_float_is_infinite():
    assert (to_float(10**400), to_float(-(10**400)), to_float(3)) == (math.inf, -math.inf, 3.0)
    assert not is_finite(10**400)

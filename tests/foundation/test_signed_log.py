"""The signed logarithm and its inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.foundation.signed_log import inverse_signed_log, signed_log


@given(st.floats(-1e12, 1e12))
def test_the_inverse_recovers_the_number(x):
    assert inverse_signed_log(float(signed_log(np.float64(x)))) == pytest.approx(x, rel=1e-9, abs=1e-9)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_the_signed_logarithm_is_odd_and_never_decreases(x, y):
    low, high = sorted((x, y))
    assert signed_log(low) <= signed_log(high)
    assert signed_log(-x) == -signed_log(x)


def test_the_inverse_of_any_number_is_finite():
    assert math.isfinite(inverse_signed_log(1e6))
    assert inverse_signed_log(-1e6) == -inverse_signed_log(1e6)


def test_another_namespace_can_be_used():
    class Recorder:
        sign, log1p, abs = (staticmethod(function) for function in (np.sign, np.log1p, np.abs))

    assert signed_log(-3.0, Recorder) == signed_log(-3.0)

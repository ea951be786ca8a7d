"""Merged windows equal one window, compared with NumPy."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import WindowStatistics
from tests.pipeline.divergence.signals import summarize

VALUES = st.lists(st.one_of(st.floats(-100.0, 100.0), st.sampled_from([math.nan, math.inf])), min_size=1, max_size=12)


@given(VALUES, VALUES)
def test_two_windows_merged_equal_one(first, second):
    begin = summarize(first, limit=1.0)
    merged = begin.merge(summarize(second, limit=1.0, run_length=begin.run_length), len(first))
    for field, value in vars(summarize(first + second, limit=1.0)).items():
        np.testing.assert_allclose(getattr(merged, field), value, rtol=1e-9, atol=1e-6, err_msg=field)


def test_steps_are_counted_from_the_beginning_of_the_first_window():
    merged = summarize([1.0, 5.0]).merge(summarize([9.0, math.nan]), 2)
    assert (merged.minimum_step, merged.maximum_step, merged.first_nonfinite_step) == (1, 3, 4)


def test_a_signal_that_appears_later_keeps_its_steps():
    window = WindowStatistics(4, {"a": summarize([1.0] * 4)})
    window.append(WindowStatistics(2, {"b": summarize([1.0, 7.0])}))
    assert (window.steps, window.signals["b"].maximum_step, window.signals["a"].maximum_step) == (6, 6, 1)


def test_plain_types_and_back():
    window = WindowStatistics(2, {"a": summarize([1.0, 7.0])})
    assert WindowStatistics.from_dict(json.loads(json.dumps(window.to_dict()))) == window

"""Hypothesis strategies that the tests of the report share."""

from __future__ import annotations

import math

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
"""Any JSON value."""

NUMBERS = st.one_of(
    st.floats(), st.sampled_from([0.0, 5e-324, 1.8e308, -1.8e308, 3.4e38, math.nan, math.inf, -math.inf])
)
"""Any float, the extreme ones often."""

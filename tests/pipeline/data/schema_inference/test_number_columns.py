from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.data.schema_inference.column_proposal import ColumnProposal
from steadyrank.pipeline.data.schema_inference.number_columns import choose_bounds, propose_number_column
from steadyrank.pipeline.data.schema_inference.plain_types import to_plain

RNG = np.random.default_rng(0)


def propose(name: str, values) -> ColumnProposal:
    return propose_number_column(name, to_plain(values if isinstance(values, pa.Array) else pa.array(values)), "")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x", [1.0, 1.0], "the same value in every row."),
        ("x", [np.nan, np.inf], "no value is finite."),
        ("x", [2**60, 2**60], "the same value in every row."),
        ("x", [1.0, 2.0, np.inf], "1 value of the sample is infinite or beyond float32"),
        ("x", [1.0, 2.0, None, -1e39, 1e39], "2 values of the sample are infinite or beyond float32"),
        ("event_time", [1.7e9, 1.8e9], "a timestamp."),
        ("x", np.arange(2000), "a row number."),
        ("x", np.arange(2000) + np.arange(2000) // 500 * 50, "a row number."),
    ],
)
def test_columns_that_a_ranker_must_not_see_are_left_out(name, values, reason):
    proposal = propose(name, values)
    assert proposal.exclusion_reason.startswith(reason)


def test_a_small_number_named_like_a_time_is_a_feature():
    assert propose("waiting_time", [0.5, 3.5, 9.5]).feature.kind == "numerical"


@pytest.mark.parametrize(
    ("name", "values", "encoding"),
    [
        ("weekday", [0, 6], {"num_ids": 7}),
        ("user_id", [5, 900], {"num_ids": 901}),
        ("user_id", [5, 1_000_000], {"hash_buckets": 16}),
        ("user_id", [5.0, 900.0, None], {"num_ids": 901}),
        ("user_id", [1234.0, 1e12, np.nan], {"hash_buckets": 16}),
        ("weekday", [0.0, 6.0, None], {"num_ids": 7}),
        ("item_id", [2**60, 2**60 + 1], {"hash_buckets": 16}),
        ("item_id", np.array([2**64 - 1, 2**64 - 2], np.uint64), {"hash_buckets": 16}),
        ("item_id", pa.array([Decimal(90000000001), Decimal(90000000002)], pa.decimal128(20, 0)), {"hash_buckets": 16}),
        ("user_id", [-5.0, 2e9], {"hash_buckets": 16}),
        ("visitor", RNG.integers(0, 10**9, 500), {"hash_buckets": 1024}),
    ],
)
def test_ids_and_categories_are_encoded_by_their_range(name, values, encoding):
    feature = propose(name, values).feature
    assert feature.kind == "categorical"
    assert {key: getattr(feature, key) for key in encoding} == encoding


def test_a_negative_category_is_a_number():
    assert propose("temperature", [-3, 4]).feature.kind == "numerical"


def test_a_counter_with_a_tail_is_normalized_by_its_logarithm():
    assert propose("views", np.array([1, 2, 3, 2, 10_000])).feature.normalization == "log"
    assert propose("height", RNG.normal(170, 10, 100)).feature.normalization == "standard"


def test_missing_numbers_get_the_median_as_default():
    assert propose("height", [1.5, None, 3.5]).feature.default == 2.5
    assert propose("height", [1.5, np.nan, 3.5]).feature.default == 2.5
    assert propose("height", [1.5, 3.5]).feature.default is None


def test_ids_beyond_the_exact_floats_are_counted_as_integers():
    proposal = propose("item_id", 2**60 + np.arange(50))
    assert "50 different values" in proposal.summary
    assert proposal.feature.hash_buckets == 128


def test_ids_stored_as_floats_are_named_as_such():
    assert propose("user_id", [1234.0, 5e9, None]).summary.endswith("; whole numbers stored as floats")
    assert "WARNING: above 2^53, a float merges different ids" in propose("user_id", [1.0, 2.0**60]).summary


@pytest.mark.parametrize("name", ["user_id", "price"])
def test_fractions_are_numbers_whatever_the_name(name):
    assert propose(name, [1.5, 2.0, None]).feature.kind == "numerical"


@pytest.mark.parametrize("name", ["is_paid", "bid", "valid", "price_paid"])
def test_words_that_end_like_an_id_are_none(name):
    assert propose(name, np.arange(300) * 10).feature.kind == "numerical"


@pytest.mark.parametrize(
    ("low", "high", "has_tail", "bounds"),
    [
        (18.0, 79.0, False, (-590.0, 690.0)),
        (0.0, 500.0, True, (-500_000.0, 500_000.0)),
        (1.6e9, 1.6e9 + 100, False, (1.6e9 - 1000, 1.6e9 + 1100)),
        (-1e-6, 1e-6, False, (-2.1e-5, 2.1e-5)),
        (-3e38, 3e38, False, (None, None)),
        (5.0, 5.0, False, (None, None)),
    ],
)
def test_bounds_are_far_outside_the_values(low, high, has_tail, bounds):
    proposed = choose_bounds(low, high, has_tail)
    assert (proposed.get("minimum"), proposed.get("maximum")) == pytest.approx(bounds)


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30), st.booleans())
def test_no_value_of_the_sample_exceeds_the_bounds(one, other, has_tail):
    bounds = choose_bounds(min(one, other), max(one, other), has_tail)
    assert bounds.get("minimum", -np.inf) <= min(one, other)
    assert bounds.get("maximum", np.inf) >= max(one, other)


def test_a_numerical_feature_has_bounds():
    feature = propose("height", [1.5, None, 3.5]).feature
    assert feature.bounds == (-18.0, 24.0)

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.data.schema_inference.column_proposal import ColumnProposal
from steadyrank.pipeline.data.schema_inference.list_columns import propose_list_column
from steadyrank.pipeline.data.schema_inference.plain_types import to_plain


def propose(values: list, kind: pa.DataType) -> ColumnProposal:
    return propose_list_column("x", to_plain(pa.array(values, pa.list_(kind))), "")


def test_numbers_of_one_length_become_a_vector():
    feature = propose([[1.0, 2.0], [3.0, 4.0]], pa.float32()).feature
    assert (feature.kind, feature.width, feature.default) == ("numerical", 2, None)
    assert feature.bounds == (-29.0, 34.0)
    assert propose([[1.0, 2.0], None], pa.float32()).feature.default == 0.0


def test_lists_of_one_number_become_a_number():
    feature = propose([[1.5], [2.5]], pa.float64()).feature
    assert (feature.kind, feature.width, feature.default) == ("numerical", 1, None)
    assert propose([[1.5], [None], [3.5]], pa.float64()).feature.default == 2.5
    assert propose([[1.5, None], [2.5, 3.5]], pa.float64()).feature.default == 0.0


@pytest.mark.parametrize(
    ("values", "kind", "encoding"),
    [
        ([[1, 2], [3, 7]], pa.int64(), {"num_ids": 8}),
        ([[1, 2], [3, 7000]], pa.int64(), {"hash_buckets": 16}),
        ([[1.0, 2.0], [3.0, 7.0, None]], pa.float64(), {"num_ids": 8}),
        ([[2**60, 1], [2**60 + 1, 1]], pa.int64(), {"hash_buckets": 16}),
        ([[True, False], [True, False]], pa.bool_(), {"num_ids": 2}),
        (
            [["a", "b"], ["a", "b"]],
            pa.dictionary(pa.int8(), pa.string()),
            {"vocabulary": ("a", "b"), "dtype": "string"},
        ),
        ([["a", "b"], ["a", "b"]], pa.string(), {"vocabulary": ("a", "b"), "dtype": "string"}),
    ],
)
def test_ids_and_strings_become_a_bag(values, kind, encoding):
    feature = propose(values, kind).feature
    assert (feature.kind, feature.width) == ("bag", 2)
    assert {key: getattr(feature, key) for key in encoding} == encoding


def test_one_long_list_does_not_widen_the_bag():
    assert propose([[1, 2]] * 999 + [list(range(500))], pa.int64()).feature.width == 2
    assert propose([list(range(500))] * 9, pa.int64()).feature.width == 50


@pytest.mark.parametrize(
    ("values", "kind", "summary", "reason"),
    [
        ([[], []], pa.int64(), "lists of integers, each with 0 values", "every list is empty."),
        (
            [[1.5], [1.0, 2.0]],
            pa.float64(),
            "lists of numbers, each with 1 to 2 values (median 1.5)",
            "lists of numbers",
        ),
        (
            [[None], [None]],
            pa.float64(),
            "lists of numbers, each with 1 value; 100.0% of the values are missing",
            "every value",
        ),
        (
            [[1.0, np.inf], [1.0, 1.0]],
            pa.float64(),
            "lists of numbers, each with 2 values",
            "1 value of the sample is infinite",
        ),
        ([[1.0], [1.0]], pa.float64(), "lists of numbers, each with 1 value", "the same value in every row."),
        (
            [[""], ["", ""]],
            pa.string(),
            "lists of strings, each with 1 to 2 values (median 1.5); 1 different value",
            "every string in the lists is empty.",
        ),
    ],
)
def test_other_lists_are_left_out(values, kind, summary, reason):
    proposal = propose(values, kind)
    assert proposal.summary == summary
    assert proposal.exclusion_reason.startswith(reason)

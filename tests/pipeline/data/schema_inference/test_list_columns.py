from __future__ import annotations

import pyarrow as pa
import pytest

from steadyrank.pipeline.data.schema_inference.column_proposal import ColumnProposal
from steadyrank.pipeline.data.schema_inference.list_columns import propose_list_column


def propose(values: list, kind: pa.DataType) -> ColumnProposal:
    return propose_list_column("x", pa.array(values, pa.list_(kind)), "")


def test_numbers_of_one_length_become_a_vector():
    feature = propose([[1.0, 2.0], [3.0, 4.0]], pa.float32()).feature
    assert (feature.kind, feature.width, feature.default) == ("numerical", 2, None)
    assert feature.bounds == (-29.0, 34.0)
    assert propose([[1.0, 2.0], None], pa.float32()).feature.default == 0.0


@pytest.mark.parametrize(
    ("values", "kind", "encoding"),
    [
        ([[1, 2], [3, 7]], pa.int64(), {"num_ids": 8}),
        ([[1, 2], [3, 7000]], pa.int64(), {"hash_buckets": 16}),
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
        ([[], []], pa.int64(), "lists of int64, each with 0 values", "every list is empty."),
        ([[1.0], [1.0, 2.0]], pa.float64(), "lists of double, each with 1 to 2 values (median 1.5)", "lists of double"),
    ],
)
def test_other_lists_are_left_out(values, kind, summary, reason):
    proposal = propose(values, kind)
    assert proposal.summary == summary
    assert proposal.exclusion_reason.startswith(reason)

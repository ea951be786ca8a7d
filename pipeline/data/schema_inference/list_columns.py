"""Rules for columns of lists: vectors of numbers, and bags of ids or strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....foundation.formatting import pluralize
from .column_proposal import ColumnProposal, make_feature
from .id_encoding import (
    MAX_ID_RANGE,
    choose_embedding_width,
    choose_hash_buckets,
    choose_string_encoding,
    count_strings,
)
from .number_columns import choose_bounds

# A bag is as wide as the lists require, except that it truncates this share of them, and at most _MAX_BAG_WIDTH wide.
_TRUNCATED_SHARE, _MAX_BAG_WIDTH = 0.01, 50


def propose_list_column(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    """Proposes a numerical vector or a bag for a column of lists.

    Args:
      name: The column's name.
      array: A sample of its values, at least one of them not null.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.
    """
    lengths = pc.drop_null(pc.list_value_length(array)).to_numpy(zero_copy_only=False)
    values = pc.drop_null(array.flatten())
    kind = values.type
    summary = f"lists of {kind}, {_format_lengths(lengths)}{missing_text}"
    if not len(values):
        return ColumnProposal(name, summary, exclusion_reason="every list is empty.")
    if pa.types.is_floating(kind) and lengths.min() == lengths.max():
        default = 0.0 if array.null_count else None
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        bounds = choose_bounds(float(numbers.min()), float(numbers.max())) if numbers.size else {}
        feature = make_feature(name, "numerical", width=int(lengths[0]), default=default, **bounds)
        return ColumnProposal(name, summary, feature=feature)
    if pa.types.is_integer(kind):
        numbers = values.to_numpy(zero_copy_only=False)
        distinct, low, high = len(np.unique(numbers)), int(numbers.min()), int(numbers.max())
        summary += f"; {pluralize(distinct, 'different value')} from {low} to {high}"
        is_range = low >= 0 and high < MAX_ID_RANGE
        encoding: dict[str, Any] = (
            {"num_ids": high + 1} if is_range else {"hash_buckets": choose_hash_buckets(distinct)}
        )
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        words, counts = count_strings(values)
        distinct = len(words)
        summary += f"; {pluralize(distinct, 'different value')}"
        encoding = {"dtype": "string", **choose_string_encoding(words, counts, name)}
    else:
        reason = (
            f"lists of {kind} with different lengths. A ranker reads lists of integers or strings, and lists of numbers "
            "that all have the same length."
        )
        return ColumnProposal(name, summary, exclusion_reason=reason)
    width = int(min(max(np.quantile(lengths, 1 - _TRUNCATED_SHARE), 1), _MAX_BAG_WIDTH))
    embedding_width = choose_embedding_width(distinct)
    feature = make_feature(name, "bag", width=width, embedding_width=embedding_width, **encoding)
    return ColumnProposal(name, summary, feature=feature)


def _format_lengths(lengths: np.ndarray) -> str:
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        return f"each with {pluralize(longest, 'value')}"
    return f"each with {shortest:,} to {pluralize(longest, 'value')} (median {np.median(lengths):g})"

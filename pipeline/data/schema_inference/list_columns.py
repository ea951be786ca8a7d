"""Rules for columns of lists: vectors of numbers, and bags of ids or strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ....foundation.formatting import pluralize
from ..files.arrow_arrays import flatten_lists, is_text
from .column_proposal import ColumnProposal, make_feature
from .id_encoding import (
    MAX_ID_RANGE,
    choose_embedding_width,
    choose_hash_buckets,
    choose_string_encoding,
    count_strings,
)
from .number_columns import Numbers, choose_bounds, format_infinite

# A bag is as wide as the lists require, except that it truncates this share of them, and at most _MAX_BAG_WIDTH wide.
_TRUNCATED_SHARE, _MAX_BAG_WIDTH = 0.01, 50


def propose_list_column(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    """Proposes a numerical vector or a bag for a column of lists, or leaves it out.

    Args:
      name: The column's name.
      array: A sample of its values in a plain type, at least one of them not null.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.
    """
    values, all_lengths = flatten_lists(array)
    lengths = all_lengths[array.is_valid().to_numpy(zero_copy_only=False)]
    summary = f"lists of {_name_values(values.type)}, {_format_lengths(lengths)}{missing_text}"
    if values.null_count:
        summary += f"; {values.null_count / len(values):.1%} of the values are missing"
    if values.null_count == len(values):
        reason = "every value in the lists is missing." if len(values) else "every list is empty."
        return ColumnProposal(name, summary, exclusion_reason=reason)
    if is_text(values.type):
        words, counts = count_strings(values)
        summary += f"; {pluralize(len(words), 'different value')}"
        if words == [""]:
            return ColumnProposal(name, summary, exclusion_reason="every string in the lists is empty.")
        return _propose_bag(
            name, summary, lengths, len(words), dtype="string", **choose_string_encoding(words, counts, name)
        )
    numbers = Numbers.from_array(values)
    if numbers is None:
        return ColumnProposal(name, summary, exclusion_reason="no value is finite.")
    if not numbers.is_integer and lengths.min() == lengths.max():
        return _propose_vector(name, summary, int(lengths[0]), numbers, bool(array.null_count))
    if not numbers.is_whole:
        reason = (
            "lists of numbers with different lengths. A ranker reads lists of integers or strings, and lists of numbers "
            "that all have the same length."
        )
        return ColumnProposal(name, summary, exclusion_reason=reason)
    summary += f"; {pluralize(numbers.distinct, 'different value')} from {numbers.low:g} to {numbers.high:g}"
    is_range = numbers.low >= 0 and numbers.high < MAX_ID_RANGE
    encoding = (
        {"num_ids": int(numbers.high) + 1} if is_range else {"hash_buckets": choose_hash_buckets(numbers.distinct)}
    )
    return _propose_bag(name, summary, lengths, numbers.distinct, **encoding)


def _propose_vector(name: str, summary: str, width: int, numbers: Numbers, has_null_lists: bool) -> ColumnProposal:
    # The numbers of a vector have no common median that means something.
    median = float(f"{numbers.median:.4g}") if width == 1 else 0.0
    default = median if numbers.has_missing or has_null_lists else None
    bounds = choose_bounds(float(numbers.low), float(numbers.high))
    proposal = ColumnProposal(
        name, summary, feature=make_feature(name, "numerical", width=width, default=default, **bounds)
    )
    if numbers.num_infinite:
        return proposal.exclude(format_infinite(numbers.num_infinite))
    if width == 1 and numbers.distinct == 1:
        return proposal.exclude("the same value in every row.")
    return proposal


def _propose_bag(name: str, summary: str, lengths: np.ndarray, distinct: int, **encoding: Any) -> ColumnProposal:
    width = int(min(max(np.quantile(lengths, 1 - _TRUNCATED_SHARE), 1), _MAX_BAG_WIDTH))
    embedding_width = choose_embedding_width(distinct)
    feature = make_feature(name, "bag", width=width, embedding_width=embedding_width, **encoding)
    return ColumnProposal(name, summary, feature=feature)


def _name_values(kind: pa.DataType) -> str:
    if is_text(kind):
        return "strings"
    return "numbers" if pa.types.is_floating(kind) else "integers"


def _format_lengths(lengths: np.ndarray) -> str:
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        return f"each with {pluralize(longest, 'value')}"
    return f"each with {shortest:,} to {pluralize(longest, 'value')} (median {np.median(lengths):g})"

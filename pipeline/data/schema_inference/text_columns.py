"""Rules for columns of strings."""

from __future__ import annotations

import pyarrow as pa

from ....foundation.formatting import pluralize
from .column_proposal import ColumnProposal, make_feature
from .id_encoding import choose_embedding_width, choose_string_encoding, count_strings

# A column is unique to each row if more than this share of at least this many values differ.
_UNIQUE_SHARE, _MIN_UNIQUE_VALUES = 0.9, 1000


def propose_text_column(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    """Proposes a categorical feature for a column of strings.

    Args:
      name: The column's name.
      array: A sample of its values, at least one of them not null.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.
    """
    words, counts = count_strings(array)
    longest = max(map(len, words))
    summary = (
        f"strings of up to {pluralize(longest, 'character')}, {pluralize(len(words), 'different value')}{missing_text}"
    )
    if longest == 0:
        return ColumnProposal(name, summary, exclusion_reason="every string is empty, which means a missing value.")
    feature = make_feature(
        name,
        "categorical",
        dtype="string",
        embedding_width=choose_embedding_width(len(words)),
        **choose_string_encoding(words, counts, name),
    )
    proposal = ColumnProposal(name, summary, feature=feature)
    if len(words) == 1:
        return proposal.exclude("the same value in every row.")
    if len(words) > _UNIQUE_SHARE * (len(array) - array.null_count) and len(words) > _MIN_UNIQUE_VALUES:
        reason = "different in almost every row. A ranker learns nothing from values that do not repeat."
        return proposal.exclude(reason)
    return proposal

"""Chooses how a ranker encodes ids and strings (vocabulary, id range or hash buckets), and the width of their embedding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Up to the first size, the schema lists the vocabulary. Up to the second, a run collects it. Beyond, values are hashed.
_MAX_LISTED_VOCABULARY, _MAX_COLLECTED_VOCABULARY = 100, 10_000
_MAX_HASH_BUCKETS = 1 << 20
# Words such as paid, valid, grid and bid end with "id" too.
_ID_NAME = re.compile(
    r"(?i)(^|_)(id|key|code|zip|hash|no)_?\d*$|(?<!pa)(?<!val)(?<!gr)(?<!vo)(?<!sol)(?<!hum)(?<!b)id_?\d*$"
)
# The character in place of bytes that are no text, and the one that arrays of strings drop at the end.
_NOT_TEXT = re.compile("[\0\ufffd]")

MAX_ID_RANGE = 1000
"""Integers from 0 to below this become an id range; larger ones are hashed."""


def has_id_name(column: str) -> bool:
    """Returns whether a column's name says that it holds ids, even if they are numbers.

    Example:
    >>> has_id_name("user_id"), has_id_name("age")
    (True, False)
    """
    return _ID_NAME.search(column) is not None


def choose_string_encoding(words: Sequence[str], counts: np.ndarray, column: str) -> dict[str, Any]:
    """Chooses how strings are encoded, as arguments of a feature.

    Args:
      words: The different values.
      counts: How often each occurs.
      column: The column's name.

    Example:
    >>> choose_string_encoding(["de", "fr"], np.array([9, 8]), "country")
    {'vocabulary': ('de', 'fr')}
    >>> choose_string_encoding(["de", "fr"], np.array([1, 1]), "country")
    {'vocabulary_size': 3}
    """
    # Many values that occur only once suggest that the sample missed others.
    is_complete = (counts == 1).sum() <= 0.1 * len(words)
    # A vocabulary holds text only.
    if any(_NOT_TEXT.search(word) for word in words):
        return {"hash_buckets": choose_hash_buckets(len(words))}
    if not has_id_name(column) and len(words) <= _MAX_LISTED_VOCABULARY and is_complete:
        return {"vocabulary": tuple(word for word in words if word)}
    if not has_id_name(column) and len(words) <= _MAX_COLLECTED_VOCABULARY:
        # 50% more, for values that the sample missed.
        return {"vocabulary_size": int(float(f"{1.5 * len(words):.1g}"))}
    return {"hash_buckets": choose_hash_buckets(len(words))}


def choose_hash_buckets(distinct: int) -> int:
    """Chooses a power of two above twice the number of different values.

    Example:
    >>> choose_hash_buckets(1000)
    2048
    """
    return int(min(max(1 << (2 * distinct).bit_length(), 16), _MAX_HASH_BUCKETS))


def choose_embedding_width(distinct: int) -> int:
    """Chooses the width of an embedding: wider for more different values."""
    return 4 if distinct <= 10 else 8 if distinct <= 1000 else 16


def count_strings(array: pa.Array) -> tuple[list[str], np.ndarray]:
    """Counts the different strings of an array, the most frequent first."""
    # Counted as bytes, because not every writer uses UTF-8.
    counted = pc.value_counts(pc.cast(pc.drop_null(array), pa.large_binary()))
    pairs = [
        (value.decode("utf-8", "replace"), count)
        for value, count in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    ]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return [word for word, _ in pairs], np.array([count for _, count in pairs])

"""The values of a feature as small integers, the form in which the leak check counts them.

Shapes: R sampled rows, W values per row, K distinct values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ....models.schema import MISSING_INTEGER, MISSING_STRING, Feature
from ..columns import DictionaryColumn

# Only this many numbers of a vector are checked, spread over it, so that the cost is bounded.
_MAX_CHECKED_NUMBERS = 16


@dataclasses.dataclass(frozen=True)
class FeatureCodes:
    """A feature of some rows, or one number of a vector.

    Attributes:
      feature: The feature's name.
      name: The same, or the position in the vector, such as ``embedding[3]``.
      codes: Position of each row's value among the distinct values, from 0; -1 for a missing value. ``[R]``, or
        ``[R, W]`` for a bag.
      num_codes: K, the number of distinct values.
      zero_code: The code of the number 0; -2 if it does not occur.
      is_ordered: Whether larger codes are larger numbers.
    """

    feature: str
    name: str
    codes: np.ndarray
    num_codes: int
    zero_code: int
    is_ordered: bool

    def select_rows(self, rows: np.ndarray) -> FeatureCodes:
        """Returns the feature of some of the rows."""
        return self if rows.all() else dataclasses.replace(self, codes=self.codes[rows])

    @property
    def is_missing(self) -> np.ndarray:
        """Whether each row has no value, bool ``[R]``."""
        return self.codes < 0 if self.codes.ndim == 1 else np.logical_and.reduce(self.codes < 0, axis=1)

    def list_states(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields properties that a row's value has or not: the property in words, and which rows have it, bool ``[R]``."""
        missing = self.is_missing
        if missing.any():
            yield "present", ~missing
            yield "missing", missing
        if self.zero_code >= 0 and self.codes.ndim == 1:
            zero = self.codes == self.zero_code
            yield "not zero", ~zero & ~missing
            yield "zero", zero


def encode_feature(columns: Sequence[np.ndarray | DictionaryColumn], feature: Feature) -> list[FeatureCodes]:
    """Encodes a feature; a vector becomes one entry for each of its numbers, at most 16.

    Args:
      columns: The feature in each of several blocks.
      feature: The feature.
    """
    name = feature.name
    if feature.kind != "numerical":
        codes, num_codes, zero_code = _encode_ids(columns)
        return [FeatureCodes(name, name, codes, num_codes, zero_code, is_ordered=False)]
    numbers = np.concatenate([np.asarray(column, np.float32) for column in columns])
    if numbers.ndim == 1:
        return [_encode_numbers(numbers, name, name)]
    width = numbers.shape[1]
    places = sorted(set(np.linspace(0, width - 1, min(width, _MAX_CHECKED_NUMBERS)).round().astype(int).tolist()))
    return [_encode_numbers(numbers[:, place], name, f"{name}[{place}]") for place in places]


def _encode_numbers(numbers: np.ndarray, feature: str, name: str) -> FeatureCodes:
    is_known = np.isfinite(numbers)
    distinct, codes_of_known = np.unique(numbers[is_known], return_inverse=True)
    codes = np.full(len(numbers), -1, np.int64)
    codes[is_known] = codes_of_known
    return FeatureCodes(feature, name, codes, len(distinct), _find(distinct, 0.0), is_ordered=True)


def _encode_ids(columns: Sequence[np.ndarray | DictionaryColumn]) -> tuple[np.ndarray, int, int]:
    encoded = [column for column in columns if isinstance(column, DictionaryColumn)]
    if encoded:
        distinct, codes_of_values = np.unique(np.concatenate([c.values for c in encoded]), return_inverse=True)
        starts = np.cumsum([0, *(len(column.values) for column in encoded)])
        codes = np.concatenate(
            [codes_of_values[start + column.indices] for start, column in zip(starts, encoded, strict=False)]
        )
        missing = _find(distinct, MISSING_STRING)
    else:
        values = np.concatenate([np.asarray(column) for column in columns])
        distinct, flat = np.unique(values, return_inverse=True)
        codes = flat.reshape(values.shape)
        missing = _find(distinct, MISSING_STRING if distinct.dtype.kind == "S" else MISSING_INTEGER)
    zero = -2 if distinct.dtype.kind == "S" else _find(distinct, 0)
    return np.where(codes == missing, -1, codes), len(distinct), zero


def _find(distinct: np.ndarray, value: float | int | bytes) -> int:
    """Returns the position of a value in a sorted array, or -2."""
    place = int(np.searchsorted(distinct, value))
    return place if place < len(distinct) and distinct[place] == value else -2

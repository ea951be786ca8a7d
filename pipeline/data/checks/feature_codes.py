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
      values: The distinct values, ``[K]``.
      zero_code: The code of the number 0; -2 if it does not occur.
      is_ordered: Whether larger codes are larger numbers.
    """

    feature: str
    name: str
    codes: np.ndarray
    values: np.ndarray
    zero_code: int
    is_ordered: bool

    def select_rows(self, rows: np.ndarray) -> FeatureCodes:
        """Returns the feature of some of the rows."""
        return self if rows.all() else dataclasses.replace(self, codes=self.codes[rows])

    @property
    def num_codes(self) -> int:
        """K, the number of distinct values."""
        return len(self.values)

    @property
    def is_missing(self) -> np.ndarray:
        """Whether each row has no value, bool ``[R]``."""
        return self.codes < 0 if self.codes.ndim == 1 else np.logical_and.reduce(self.codes < 0, axis=1)

    def list_states(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields properties that a row's value has or not: the property in words, and which rows have it, bool ``[R]``."""
        missing = self.is_missing
        if missing.any():
            yield "is present", ~missing
            yield "is missing", missing
        if self.codes.ndim > 1 or not self.num_codes:
            return
        zero = self.codes == self.zero_code
        if zero.any():
            yield "is not zero", ~zero & ~missing
            yield "is zero", zero
        # Writers also use other values, such as -1 and "none", where there is no outcome.
        frequent = int(np.bincount(self.codes + 1, minlength=self.num_codes + 1)[1:].argmax())
        if frequent != self.zero_code:
            yield f"is not {self._format_value(frequent)}", (self.codes != frequent) & ~missing

    def find_purest_value(self, target: np.ndarray, min_rows: int) -> tuple[str, np.ndarray] | None:
        """Returns the value whose rows have the largest share of positives, as in :meth:`list_states`, or None.

        Args:
          target: 0 or 1 for each row, ``[R]``.
          min_rows: The number of rows that the value must have.
        """
        table = self.codes.reshape(len(self.codes), -1)
        rows, columns = np.nonzero(table >= 0)
        # A value that a bag holds twice counts once.
        pairs = np.unique(np.stack([rows, table[rows, columns]], axis=1), axis=0) if table.shape[1] > 1 else None
        rows, codes = (pairs[:, 0], pairs[:, 1]) if pairs is not None else (rows, table[rows, 0])
        counts = np.bincount(codes, minlength=self.num_codes)
        positives = np.bincount(codes, target[rows], minlength=self.num_codes)
        is_frequent = counts >= min_rows
        if not is_frequent.any():
            return None
        shares = np.where(is_frequent, positives / np.maximum(counts, 1), -1)
        code = int(np.lexsort((counts, shares))[-1])
        has_value = np.zeros(len(target), bool)
        has_value[rows[codes == code]] = True
        return f"{'contains' if self.codes.ndim > 1 else 'is'} {self._format_value(code)}", has_value

    def _format_value(self, code: int) -> str:
        value = self.values[code]
        if isinstance(value, bytes):
            return f"'{value.decode('utf-8', 'replace')}'"
        return f"{value:g}" if self.is_ordered else str(value)


def encode_feature(columns: Sequence[np.ndarray | DictionaryColumn], feature: Feature) -> list[FeatureCodes]:
    """Encodes a feature; a vector becomes one entry for each of its numbers, at most 16.

    Args:
      columns: The feature in each of several blocks.
      feature: The feature.
    """
    name = feature.name
    if feature.kind != "numerical":
        codes, values, zero_code = _encode_ids(columns)
        return [FeatureCodes(name, name, codes, values, zero_code, is_ordered=False)]
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
    return FeatureCodes(feature, name, codes, distinct, _find(distinct, 0.0), is_ordered=True)


def _encode_ids(columns: Sequence[np.ndarray | DictionaryColumn]) -> tuple[np.ndarray, np.ndarray, int]:
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
    return np.where(codes == missing, -1, codes), distinct, zero


def _find(distinct: np.ndarray, value: float | int | bytes) -> int:
    """Returns the position of a value in a sorted array, or -2."""
    place = int(np.searchsorted(distinct, value))
    return place if place < len(distinct) and distinct[place] == value else -2

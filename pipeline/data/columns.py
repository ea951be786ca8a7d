"""The columns of a block: plain arrays, or strings stored as indices into their distinct values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class DictionaryColumn:
    """A column of strings, stored as indices into a list of distinct strings.

    Columnar files store strings this way. Permuting indices costs far less than permuting strings.

    Attributes:
      values: The distinct strings, bytes, ``[V]``. The last one is empty: the form of a missing string.
      indices: Positions in ``values``, int32, of any shape.

    Example:
    >>> column = DictionaryColumn(np.array([b"DE", b"FR", b""]), np.array([1, 0, 1, 2], np.int32))
    >>> column[1:3].decode().tolist()
    [b'DE', b'FR']
    """

    values: np.ndarray
    indices: np.ndarray

    def __getitem__(self, rows: Any) -> DictionaryColumn:
        return DictionaryColumn(self.values, self.indices[rows])

    def decode(self) -> np.ndarray:
        """Returns the strings themselves, in the shape of ``indices``."""
        return self.values[self.indices]


EncodedColumns = dict[str, np.ndarray | DictionaryColumn]


def decode_columns(columns: Mapping[str, np.ndarray | DictionaryColumn]) -> Columns:
    """Returns the same columns, each as an array."""
    return {
        name: column.decode() if isinstance(column, DictionaryColumn) else column for name, column in columns.items()
    }


def count_rows(columns: EncodedColumns) -> int:
    """Returns the number of rows of a block."""
    first = next(iter(columns.values()))
    return len(first.indices if isinstance(first, DictionaryColumn) else first)

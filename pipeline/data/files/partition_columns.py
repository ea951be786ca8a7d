"""Columns whose values are in the names of folders, such as ``country`` in ``day=2026-11-01/country=DE/x.parquet``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


class PartitionColumns:
    """Adds the values of folders to the tables of their files.

    As in Hive, every row of a file has the same value. A column that the file itself contains is not replaced. The type
    is int64, float64 or string, whichever fits all values of the log; columns of strings are not read as numbers.

    Args:
      partitions: For each file, the values of its folders by key; see :attr:`.LogLayout.partitions`.
      string_columns: The columns that the schema reads as strings, so that ``zip=01234`` keeps its zero.
      columns: The columns to add. None: all.

    Example:
    >>> columns = PartitionColumns({"a": {"hour": "05", "country": None}, "b": {"hour": "6", "country": "DE"}})
    >>> columns.add_to(pa.table({"click": [0, 1]}), "a", 2).to_pydict()
    {'click': [0, 1], 'hour': [5, 5], 'country': [None, None]}
    """

    def __init__(
        self,
        partitions: Mapping[str, Mapping[str, str | None]],
        string_columns: Collection[str] = (),
        columns: Collection[str] | None = None,
    ):
        self._partitions = partitions
        values: dict[str, set[str]] = {}
        for of_file in partitions.values():
            for key, value in of_file.items():
                if columns is None or key in columns:
                    values.setdefault(key, set()).update(() if value is None else (value,))
        self._types = {key: pa.string() if key in string_columns else _find_type(values[key]) for key in values}

    @property
    def names(self) -> Collection[str]:
        """The names of the columns."""
        return self._types.keys()

    def types(self, file: str) -> dict[str, str]:
        """Returns the columns that the folders of a file give, and their types."""
        return {key: str(self._types[key]) for key in self._partitions.get(file, {}) if key in self._types}

    def add_to(self, table: pa.Table, file: str, rows: int) -> pa.Table:
        """Returns the table of a file's rows with the columns that it lacks."""
        for key, value in self._partitions.get(file, {}).items():
            if key in self._types and key not in table.column_names:
                column = _repeat(value, self._types[key], rows)
                table = table.append_column(key, column) if table.num_columns else pa.table({key: column})
        return table


def _find_type(values: Iterable[str]) -> pa.DataType:
    values = list(values)
    if values and all(_INTEGER.fullmatch(value) for value in values):
        return pa.int64()
    if values and all(_FLOAT.fullmatch(value) for value in values):
        return pa.float64()
    return pa.string()


def _repeat(value: str | None, kind: pa.DataType, rows: int) -> pa.Array:
    if value is None:
        return pa.nulls(rows, kind)
    converted: Any = int(value) if pa.types.is_integer(kind) else float(value) if pa.types.is_floating(kind) else value
    return pa.repeat(pa.scalar(converted, kind), rows)

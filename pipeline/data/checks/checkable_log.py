"""What the checks need from a log."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Protocol

from ....models.schema import Schema
from ..columns import EncodedColumns


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """One row group of a file.

    Attributes:
      file: The file's path.
      index: The group's position in the file.
      rows: Number of rows.
      signature: A cheap fingerprint. Groups with equal rows have equal signatures; the reverse need not hold.
    """

    file: str
    index: int
    rows: int
    signature: Hashable


@dataclasses.dataclass(frozen=True)
class DaySample:
    """A sample of a day's rows.

    Attributes:
      blocks: The rows without faults.
      num_read: Number of rows that were read, faulty ones included.
      faults: Number of faulty rows for each reason, such as ``age: not finite``.
    """

    blocks: Sequence[EncodedColumns]
    num_read: int
    faults: Mapping[str, int]


class CheckableLog(Protocol):
    """A log whose days can be checked.

    Days are addressed by their position in ``days``.

    Attributes:
      schema: The log's schema.
    """

    schema: Schema

    @property
    def days(self) -> Sequence[str]:
        """Names of the days that have rows, in order."""
        ...

    @property
    def empty_days(self) -> Sequence[str]:
        """Names of the days without rows, which the log skips."""
        ...

    @property
    def undated_folders(self) -> Sequence[str]:
        """Names of the folders of rows without a date, which the log skips."""
        ...

    def block_rows(self, day: int) -> Sequence[int]:
        """Returns the number of rows of each block of a day."""
        ...

    def day_files(self, day: int) -> Sequence[str]:
        """Returns the files that hold rows of a day."""
        ...

    def content(self, day: int) -> int:
        """Returns a checksum of a day's file sizes and row groups, which changes when the files do."""
        ...

    def column_types(self, day: int) -> Mapping[str, str]:
        """Returns the type of each column of the schema in a day's files; empty if the files do not store types.

        Types that differ only in their width, their unit or their encoding are equal.
        """
        ...

    def sample_rows(self, day: int, rows: int) -> DaySample:
        """Returns about ``rows`` rows, in blocks spread over the day."""
        ...

    def row_groups(self, day: int) -> Iterable[RowGroup]:
        """Returns the row groups that start in a day."""
        ...

    def read_group(self, file: str, index: int) -> EncodedColumns:
        """Reads all rows of a row group, faulty ones included."""
        ...

    def relative_name(self, file: str) -> str:
        """Returns a file's name relative to the log's folder."""
        ...

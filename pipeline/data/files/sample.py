"""A sample of a log's rows with all columns, read without a schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ...config.errors import UserError
from .layout import LogLayout
from .readers import FileReader, make_reader

# A file whose columns or types differ from those of the other files has a group in the sample, up to this many files.
_MAX_EXTRA_GROUPS = 64


@dataclasses.dataclass(frozen=True)
class SampledGroup:
    """The first rows of one group of a file.

    Attributes:
      file: The file.
      index: Position of the group in the file.
      table: The rows, as they are stored.
    """

    file: str
    index: int
    table: pa.Table


@dataclasses.dataclass(frozen=True)
class LogSample:
    """A sample of a log.

    Attributes:
      total_rows: Number of rows of the log.
      groups: The sampled groups, in the order of the log.
      column_types: The type of each column of each file that has rows, also of files that are not in the sample. Empty
        mappings if the format does not list its columns.
    """

    total_rows: int
    groups: Sequence[SampledGroup]
    column_types: Mapping[str, Mapping[str, str]]

    @property
    def num_rows(self) -> int:
        """Number of sampled rows."""
        return sum(group.table.num_rows for group in self.groups)


def read_sample(layout: LogLayout, rows: int, parts: int) -> LogSample:
    """Reads about ``rows`` rows from groups that are spread over a log.

    The sample also has rows of each file whose columns or types differ from those of the files before it.

    Args:
      layout: The log.
      rows: Approximate number of rows to read.
      parts: Smallest number of groups to read from, if the log has as many.

    Raises:
      UserError: If the log has no rows or cannot be read.
    """
    reader = make_reader(layout, None)
    groups = [(file, i, n) for file in layout.files for i, n in enumerate(reader.group_rows(file)) if n]
    if not groups:
        raise UserError("the log has no rows; name a log with rows")
    total_rows = sum(group_rows for *_, group_rows in groups)
    # If the groups are small, more of them are needed for the requested number of rows.
    num_needed = -(-rows * len(groups) // total_rows)
    parts = min(max(parts, num_needed), len(groups))
    places = {round(i * (len(groups) - 1) / max(parts - 1, 1)) for i in range(parts)}
    rows_per_group = -(-rows // len(places))
    column_types = {file: reader.column_types(file) for file in dict.fromkeys(file for file, *_ in groups)}
    places |= _find_new_columns(groups, column_types)
    sampled = [_read_group(reader, *groups[place][:2], rows_per_group) for place in sorted(places)]
    return LogSample(total_rows, sampled, column_types)


def _find_new_columns(
    groups: Sequence[tuple[str, int, int]], column_types: Mapping[str, Mapping[str, str]]
) -> set[int]:
    """Returns the first group of each file with columns or types that no file before it has.

    The columns of a TFRecord file are unknown, so each file counts.
    """
    places: dict[object, int] = {}
    for place, (file, *_) in enumerate(groups):
        types = column_types[file]
        places.setdefault(tuple(sorted(types.items())) or file, place)
    return set(sorted(places.values())[:_MAX_EXTRA_GROUPS])


def _read_group(reader: FileReader, file: str, index: int, rows: int) -> SampledGroup:
    return SampledGroup(file, index, reader.read_table(file, index).slice(0, rows))

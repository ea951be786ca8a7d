"""The columns of a sample: for each, its values in a plain type, or the reason why training cannot read it."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ....foundation.formatting import join_words, pluralize
from ..files.arrow_arrays import flatten_lists, is_list, to_single_array
from ..files.layout import LogLayout
from ..files.sample import LogSample
from .plain_types import UnsupportedTypeError, concatenate_plain, to_plain

_MAX_LISTED_TYPES = 3


@dataclasses.dataclass(frozen=True)
class LogColumn:
    """A column of a sample.

    Attributes:
      name: The column's name. If several columns have the same name, the name and the position among them, as
        ``age[1]``.
      type_name: Its type in the files; several types if files differ.
      array: Its values in a plain type; nulls if training cannot read them.
      reason: Why training cannot read the column, as text that follows a colon; empty if it can.
    """

    name: str
    type_name: str
    array: pa.Array
    reason: str = ""


def read_columns(sample: LogSample, layout: LogLayout) -> list[LogColumn]:
    """Returns the columns of a sample, in the order in which they first occur.

    Args:
      sample: The sample.
      layout: Where the sample comes from.
    """
    names = dict.fromkeys(name for group in sample.groups for name in group.table.column_names)
    columns = [column for name in names for column in _read_columns(name, sample, layout)]
    # A tf.Example stores every value as a list.
    return [_simplify_lists(column, layout) for column in columns] if layout.format == "tfrecord" else columns


def _simplify_lists(column: LogColumn, layout: LogLayout) -> LogColumn:
    """Makes lists single values if no row has more than one, unless the dataset says that the column holds lists."""
    metadata = layout.column_metadata.get(column.name)
    if not is_list(column.array.type) or (metadata is not None and metadata.is_list):
        return column
    values, lengths = flatten_lists(column.array)
    if lengths.max(initial=0) > 1:
        return column
    places = pa.array(np.cumsum(lengths) - 1, mask=lengths == 0)
    return dataclasses.replace(column, array=values.take(places))


def _read_columns(name: str, sample: LogSample, layout: LogLayout) -> list[LogColumn]:
    """Returns the columns of a name; several columns of one name are told apart by their positions, as ``age[1]``."""
    types = _list_types(name, sample)
    if not name:
        return [_exclude(name, sample, types, "it has no name. Give the column a name.")]
    missing = [file for file in types if not types[file]]
    if missing:
        return [_exclude(name, sample, types, _describe_missing(missing, list(types), layout))]
    counts = {group.file: group.table.column_names.count(name) for group in sample.groups}
    most = max(counts.values())
    if most == 1:
        return [_read_column(name, 0, name, sample, types)]
    fewest = min(counts.values())
    if fewest < most:
        files = {count: file for file, count in counts.items()}
        reason = f"{fewest} columns of {files[fewest]} have this name, and {most} of {files[most]}. Rename them."
        return [_exclude(name, sample, types, reason)]
    return [_read_column(name, position, f"{name}[{position}]", sample, types) for position in range(most)]


def _read_column(name: str, position: int, unique_name: str, sample: LogSample, types: Mapping[str, str]) -> LogColumn:
    try:
        parts = [to_plain(to_single_array(_get_column(group.table, name, position))) for group in sample.groups]
    except UnsupportedTypeError as error:
        return _exclude(unique_name, sample, types, str(error))
    try:
        return LogColumn(unique_name, _join_types(types), concatenate_plain(parts))
    except TypeError:
        first_files: dict[str, str] = {}
        for file, kind in types.items():
            first_files.setdefault(kind, file)
        listed = [f"{kind} in {file}" for kind, file in list(first_files.items())[:_MAX_LISTED_TYPES]]
        return _exclude(unique_name, sample, types, f"{join_words(listed)}. Write all files with the same type.")


def _get_column(table: pa.Table, name: str, position: int) -> pa.ChunkedArray:
    return table.column(table.schema.get_all_field_indices(name)[position])


def _exclude(name: str, sample: LogSample, types: Mapping[str, str], reason: str) -> LogColumn:
    return LogColumn(name, _join_types(types), pa.nulls(sample.num_rows), reason)


def _join_types(types: Mapping[str, str]) -> str:
    return " and ".join(dict.fromkeys(kind for kind in types.values() if kind))


def _list_types(name: str, sample: LogSample) -> dict[str, str]:
    """Returns the column's type in each file; empty where the file has no such column."""
    types = {file: columns.get(name, "") for file, columns in sample.column_types.items() if columns}
    for group in sample.groups:
        if group.file not in types:
            has_column = name in group.table.column_names
            types[group.file] = _name_type(_get_column(group.table, name, 0).type) if has_column else ""
    return types


def _name_type(kind: pa.DataType) -> str:
    return str(kind.value_type if is_list(kind) else kind)


def _describe_missing(missing: Sequence[str], files: Sequence[str], layout: LogLayout) -> str:
    days = [name for name, day_files in layout.days if name and set(day_files) & set(missing)]
    if not days:
        verb = "lacks" if len(missing) == 1 else "lack"
        return f"{pluralize(len(missing), 'file')} of {len(files)} {verb} the column, such as {missing[0]}."
    with_column = [name for name, day_files in layout.days if set(day_files) & (set(files) - set(missing))]
    return (
        f"{pluralize(len(days), 'day')} of {len(layout.days)} {'lacks' if len(days) == 1 else 'lack'} the column, such as {days[0]} "
        f"({posixpath.basename(missing[0])}). It is in {with_column[0]}. Add it to all days, or train on the days that have it."
    )

"""A log in another format."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from ...config.errors import UserError
from . import layout
from .arrow_columns import flatten_lists, is_list, is_text, to_single_array
from .parquet import ParquetReader
from .tfrecord import RECORDS_PER_GROUP, TFRecordReader, simplify_table

_ENDING = re.compile(r"(\.parquet|\.tfrecords?)(\.gz)?(-\d{5}-of-\d{5})?$")

_Tell = Callable[[int, int], None]


def convert_log(
    source: str, target: str, form: str, rows_per_group: int, tell: _Tell = lambda done, total: None
) -> tuple[int, int]:
    """Writes all columns of a log in another format. See :mod:`..convert` for what changes.

    The target takes its name once it is whole.

    Args:
      source: See :func:`.layout.find_layout`. Each of several splits of a dataset gets a folder, ``split=0-train``.
      target: A local file or folder that is not there.
      form: ``parquet`` or ``tfrecord``, the format that the source does not have; "": that one.
      rows_per_group: Rows of a row group of Parquet.
      tell: Called with how much is done and with all that is to do, again and again.

    Returns:
      The rows and the files that were written.

    Raises:
      UserError: When there is no source or it cannot be read, a column has no counterpart, or the target is there already
        or cannot be written.
    """
    found = layout.find_layout(source)
    form = form or ("tfrecord" if found.format == "parquet" else "parquet")
    if form == found.format:
        raise UserError(f"{source} is {_title(form)} already")
    if "://" in target:
        raise UserError(f"{target}: the target must lie on this machine; convert to a folder and copy that")
    final = Path(os.path.abspath(os.path.expanduser(target)))
    if os.path.lexists(final):
        raise UserError(f"{target} is there already; remove it, or name another target")
    files = [file for _, some in found.days for file in some]
    one = files == [found.root]
    if one and layout.detect_format(final.name) != form:
        raise UserError(f"{target}: the name of a file of {_title(form)} ends in .{form}")
    if not one and Path(found.root) in final.parents:
        raise UserError(f"{target} lies within {source}; name a target beside it")
    names = [Path()] if one else [Path(folder, _renamed(name, form)) for folder, name in _places(found)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{source}: two files would both become {twice}; rename one of them")
    # Beside its place, so that the rename stays within one file system and is atomic.
    beside = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if not one:
            for folder in ["", *_folders(found)]:
                (beside / folder).mkdir(parents=True, exist_ok=True)
        places = [beside / name for name in names]
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        if form == "tfrecord":
            rows = _to_tfrecord(found, files, places, final.name.endswith(".gz"), tell)
        else:
            rows = _to_parquet(found, files, places, rows_per_group, tell)
        for place in places:
            with open(place, "rb") as written:
                os.fsync(written.fileno())
        if os.path.lexists(final):
            raise UserError(f"{target} was made by another meanwhile; name another target")
        os.rename(beside, final)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from error
    except tf.errors.OpError as error:
        raise UserError(f"{target} cannot be written: {error.message.splitlines()[0]}") from error
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        elif os.path.lexists(beside):
            beside.unlink()
    return rows, len(files)


def _folders(found: layout.LogLayout) -> list[str]:
    """The days' folders in the target. Those of a dataset's splits, which have none, keep their order when they are read."""
    digits = len(str(len(found.days) - 1))
    return [
        name if "=" in name or not name else f"split={i:0{digits}}-{name}" for i, (name, _) in enumerate(found.days)
    ]


def _places(found: layout.LogLayout) -> Iterator[tuple[str, str]]:
    """For each file the folder in the target, and what it is called there before it is renamed."""
    for folder, (name, files) in zip(_folders(found), found.days, strict=True):
        for file in files:
            within = posixpath.relpath(file, found.root)
            yield ("", within) if folder == name else (folder, within)


def _to_tfrecord(found: layout.LogLayout, files: list[str], places: list[Path], packed: bool, tell: _Tell) -> int:
    reader = ParquetReader(found.filesystem, None)
    rows = sum(sum(reader.group_rows(file)) for file in files)
    done = 0
    options = tf.io.TFRecordOptions(compression_type="GZIP" if packed else "")
    for file, place in zip(files, places, strict=True):
        with tf.io.TFRecordWriter(str(place), options) as writer:
            for group in range(len(reader.group_rows(file))):
                table = reader.read_table(file, group)
                for first in range(0, table.num_rows, RECORDS_PER_GROUP):
                    part = table.slice(first, RECORDS_PER_GROUP)
                    for record in _examples(part, file):
                        writer.write(record)
                    done += part.num_rows
                    tell(done, rows)
    return rows


def _to_parquet(found: layout.LogLayout, files: list[str], places: list[Path], rows_per_group: int, tell: _Tell) -> int:
    reader = TFRecordReader(found.filesystem, None, inspected_records=0, rows=found.rows)
    groups = [(file, group, rows) for file in files for group, rows in enumerate(reader.group_rows(file))]
    rows = sum(rows for *_, rows in groups)
    # All is read twice: what a column holds is known only once all of it was seen.
    done = 0
    kinds: dict[str, pa.DataType] = {}
    for file, group, count in groups:
        for field in simplify_table(reader.read_table(file, group), found.column_metadata).schema:
            kinds[field.name] = _wider(kinds.get(field.name, pa.null()), field.type, f"{file}: column '{field.name}'")
        done += count
        tell(done, 2 * rows)
    schema = pa.schema(list(kinds.items()))
    for file, place in zip(files, places, strict=True):
        with pq.ParquetWriter(place, schema) as writer:
            waiting: list[pa.Table] = []
            for group, count in enumerate(reader.group_rows(file)):
                waiting.append(_as(reader.read_table(file, group), schema))
                done += count
                tell(done, 2 * rows)
                while sum(map(len, waiting)) >= rows_per_group:
                    whole = pa.concat_tables(waiting)
                    writer.write_table(whole.slice(0, rows_per_group), row_group_size=rows_per_group)
                    waiting = [whole.slice(rows_per_group)]
            if sum(map(len, waiting)):
                writer.write_table(pa.concat_tables(waiting), row_group_size=rows_per_group)
    return rows


def _wider(one: pa.DataType, other: pa.DataType, what: str) -> pa.DataType:
    """The type that holds the values of both."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    value, other_value = (kind.value_type if pa.types.is_list(kind) else kind for kind in (one, other))
    if value != other_value:
        if {value, other_value} != {pa.string(), pa.binary()}:
            raise UserError(f"{what} is {other} here, but {one} before; write all of them alike")
        value = pa.binary()
    return pa.list_(value) if pa.types.is_list(one) or pa.types.is_list(other) else value


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table.column(field.name)
        single = pa.types.is_list(column.type) and not pa.types.is_list(field.type)
        columns.append((pc.list_element(column, 0) if single else column).cast(field.type))
    return pa.table(columns, schema=schema)


def _examples(table: pa.Table, file: str) -> Iterator[bytes]:
    """The rows as serialized tf.Examples."""
    columns = [
        (name, *_values(table.column(i), f"{file}: column '{name}'")) for i, name in enumerate(table.column_names)
    ]
    for row in range(table.num_rows):
        example = tf.train.Example()
        features = example.features.feature
        for name, kind, values, ends in columns:
            feature = features[name]
            if not kind:
                continue
            given: Any = getattr(feature, kind)
            # A list without values must be set, too, so that its kind is known.
            given.SetInParent()
            given.value.extend(values[ends[row] : ends[row + 1]])
        yield example.SerializeToString()


def _values(column: pa.ChunkedArray, what: str) -> tuple[str, list, list[int]]:
    """The field of tf.train.Feature, the values of all rows after one another, and where each row's end.

    The field is "" for a column of nulls.
    """
    given = to_single_array(column)
    if is_list(given.type):
        values, lengths = flatten_lists(given)
        if values.null_count:
            raise UserError(
                f"{what} has lists with missing values, which a tf.Example does not hold; fill or drop them"
            )
    else:
        lengths = given.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
        values = pc.drop_null(given)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).tolist()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_null(kind):
        return "", [], ends
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        try:
            return "int64_list", pc.cast(values, pa.int64()).to_pylist(), ends
        except pa.ArrowInvalid as error:
            raise UserError(f"{what} has whole numbers beyond 64 bits with a sign; make strings of them") from error
    if pa.types.is_floating(kind):
        return "float_list", _floats(values, what).tolist(), ends
    if is_text(kind):
        return "bytes_list", pc.cast(values, pa.large_binary()).to_pylist(), ends
    raise UserError(f"{what} is {column.type}, which a tf.Example does not hold; turn it into numbers or strings")


def _floats(values: pa.Array, what: str) -> np.ndarray:
    """float32. Digits may be lost, but no range and no id."""
    wide = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if (np.isinf(narrow) & ~np.isinf(wide)).any():
        raise UserError(f"{what} has numbers beyond the range of float32, which is all that a tf.Example has")
    finite = wide[np.isfinite(wide)]
    if (finite == np.floor(finite)).all() and (finite != finite.astype(np.float32)).any():
        raise UserError(
            f"{what} has whole numbers as doubles that float32, all that a tf.Example has, would round; make it integers"
        )
    return narrow


def _renamed(name: str, form: str) -> str:
    """A file's name with another ending. TFDS lets a dataset choose names that end in none of ours."""
    found = _ENDING.search(name)
    return f"{name[: found.start()]}{found[3] or ''}.{form}" if found else f"{name}.{form}"


def _title(form: str) -> str:
    return {"parquet": "Parquet", "tfrecord": "TFRecord"}[form]

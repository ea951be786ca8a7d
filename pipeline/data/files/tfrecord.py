"""TFRecord files of tf.Example, plain or gzip-compressed, many records at a time.

A tf.Example tells a value that is missing from an empty list no more than a list of one value from that value: a feature
without values is missing, and whether a column holds lists is told by the schema.
"""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import zlib
from collections.abc import Hashable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from pyarrow import fs

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..source import EncodedColumns
from ..tfds.features import ColumnMetadata
from .arrow_columns import FaultMasks, convert_table, list_log_columns
from .crc32c import masked_crc32c

RECORDS_PER_GROUP = 8192
# A record is its length (8 bytes), the length's checksum (4), the data, and the data's checksum (4).
_HEADER, _FRAME = 12, 16
_LENGTH = struct.Struct("<Q")
_READ_BYTES = 16 << 20
_READ_FIRST = 256
# Decompressed files are kept until they are more than this together; the last one always is.
_KEPT_BYTES = 1 << 30
_GZIP = b"\x1f\x8b\x08"
_FIRST_RECORDS = 1000
_DTYPES = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
_ARROW = {tf.int64: pa.int64(), tf.float32: pa.float32(), tf.string: pa.binary()}
_OTHER_KIND = re.compile(
    r"Key: (.*?), Index: (\d+)\.\s+Data types don't match\. Expected type: (\w+), Actual type: (\w+)"
)


class TFRecordReader:
    """Reads what a schema names. A group is a run of records.

    To learn where the groups begin, a file is read once from end to end; a compressed one is decompressed as a whole.

    Args:
      filesystem: Where the files lie.
      schema: Which columns, and as what. None: to look at records with all their columns.
      inspected_records: Without a schema, how many of a file's records tell which columns there are; 0: all.
      rows: How many records a file should have, where that is known: one that was cut off between two records is whole.
    """

    def __init__(
        self,
        filesystem: fs.FileSystem,
        schema: Schema | None,
        inspected_records: int = _FIRST_RECORDS,
        rows: Mapping[str, int] = MappingProxyType({}),
    ):
        self._filesystem = filesystem
        self._schema = schema
        self._look_at = inspected_records
        self._rows = rows
        self._columns = list_log_columns(schema) if schema else []
        lists = {f.log_column for f in schema.features if f.kind == "bag" or f.width > 1} if schema else set()
        self._singles = set(self._columns) - lists
        self._indexes: dict[str, tuple[np.ndarray, int]] = {}
        self._dtypes: dict[str, dict[str, tf.DType | None]] = {}
        self._names: dict[str, list[str]] = {}
        self._unpacked: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._unpacking = threading.Lock()

    def group_rows(self, file: str) -> list[int]:
        """Records of each group."""
        _, records = self._index(file)
        whole, rest = divmod(records, RECORDS_PER_GROUP)
        return [RECORDS_PER_GROUP] * whole + [rest] * bool(rest)

    def sequential_run(self, file: str, group: int) -> int:
        """Each group by itself."""
        return group

    def column_types(self, file: str) -> dict[str, str]:
        """Nothing: each record has columns of its own."""
        return {}

    def group_signature(self, file: str, group: int) -> Hashable:
        """Equal for groups of equal content; others hardly ever have the same."""
        starts, _ = self._index(file)
        begin, end = int(starts[group]), int(starts[group + 1])
        with self._opened(file) as opened:
            # The last bytes are a checksum of the last record's data.
            return end - begin, opened.read_at(min(_READ_FIRST, end - begin), begin), opened.read_at(4, end - 4)

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """The columns of one group, and what was found wrong; see :func:`.arrow_columns.convert_table`."""
        assert self._schema is not None
        return convert_table(self.read_table(file, group), self._schema, file, clamp, lambda: self._names[file])

    def read_table(self, file: str, group: int) -> pa.Table:
        """The columns of one group: int64, float32 or binary, single values where the schema wants them, or lists."""
        records = self._records(file, group)
        dtypes = self._dtypes_of(file)
        known = {name: dtype for name, dtype in dtypes.items() if dtype is not None}
        parsed = self._parsed(file, group, records, known) if known else {}
        return pa.table(
            {
                name: _array(parsed[name], name in self._singles) if name in parsed else pa.nulls(len(records))
                for name in dtypes
            }
        )

    def _parsed(self, file: str, group: int, records: list[bytes], dtypes: dict[str, tf.DType]) -> dict[str, Any]:
        first = group * RECORDS_PER_GROUP
        try:
            with tf.device("CPU:0"):
                return tf.io.parse_example(
                    tf.constant(records), {name: tf.io.RaggedFeature(dtype) for name, dtype in dtypes.items()}
                )
        # TensorFlow's own message holds the bytes of the record, which Python may fail to make words of.
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            other = _OTHER_KIND.search(str(error))
            if other:
                name, place, expected, actual = other.groups()
                raise UserError(
                    f"{file}: column '{name}' is {expected} in the file's first records, but record "
                    f"{first + int(place):,} has {actual}; write all of them alike"
                ) from error
            for place, record in enumerate(records):
                _example(file, first + place, record)
            raise _damaged(file, first, "or one of those behind it is no tf.Example") from error

    def _dtypes_of(self, file: str) -> dict[str, tf.DType | None]:
        """For each column that is there and is wanted, what its lists hold; None where no list holds anything."""
        with self._lock:
            known = self._dtypes.get(file)
        if known is not None:
            return known
        seen: dict[str, tf.DType | None] = {}
        most = self._look_at if self._schema is None else _FIRST_RECORDS
        for number, record in self._numbered(file, most):
            for name, feature in _example(file, number, record).features.feature.items():
                if seen.get(name) is None:
                    seen[name] = _DTYPES.get(feature.WhichOneof("kind"))
            if self._schema and all(seen.get(name) is not None for name in self._columns):
                break
        for name in self._columns:
            if seen.get(name) is None:
                seen.update(self._look_for(file, name))
        wanted = [name for name in self._columns if name in seen] if self._schema else sorted(seen)
        with self._lock:
            self._names[file] = sorted(seen)
            self._dtypes[file] = {name: seen[name] for name in wanted}
        return self._dtypes[file]

    def _look_for(self, file: str, name: str) -> dict[str, tf.DType | None]:
        """A column that the first records do not have: in the whole file, since what is rare may come late."""
        key = name.encode()
        found: dict[str, tf.DType | None] = {}
        for number, record in self._numbered(file, 0):
            if key not in record:
                continue
            features = _example(file, number, record).features.feature
            if name in features:
                found[name] = _DTYPES.get(features[name].WhichOneof("kind"))
                if found[name] is not None:
                    break
        return found

    def _numbered(self, file: str, most: int) -> Iterator[tuple[int, bytes]]:
        """The first records of a file, 0: all, each with its number."""
        number = 0
        for group in range(len(self.group_rows(file))):
            for record in self._records(file, group):
                yield number, record
                number += 1
                if number == most:
                    return

    def _records(self, file: str, group: int) -> list[bytes]:
        starts, total = self._index(file)
        first = group * RECORDS_PER_GROUP
        begin, end = int(starts[group]), int(starts[group + 1])
        with self._opened(file) as opened:
            data = opened.read_at(end - begin, begin)
        places, behind = _hop(data)
        _check_headers(file, first, data, places)
        if behind != len(data) or len(places) != min(RECORDS_PER_GROUP, total - first):
            raise _damaged(file, first + max(len(places) - 1, 0), "the file was changed or cut off meanwhile")
        ends = np.append(places[1:], len(data))
        begins, lengths = places + _HEADER, ends - places - _FRAME
        stored = _words(data, ends - 4)
        bad = np.flatnonzero(masked_crc32c(np.frombuffer(data, np.uint8), begins, lengths) != stored)
        if len(bad):
            raise _damaged(file, first + int(bad[0]), "its data does not fit its checksum")
        return [data[a:b] for a, b in zip(begins.tolist(), (ends - 4).tolist(), strict=True)]

    def _index(self, file: str) -> tuple[np.ndarray, int]:
        """Where each group begins, and at last where the file ends; and how many records there are."""
        with self._lock:
            found = self._indexes.get(file)
        if found is None:
            with self._opened(file) as opened:
                found = _index(file, opened)
            if found[1] != self._rows.get(file, found[1]):
                raise UserError(
                    f"{file}: expected {self._rows[file]:,} records, as its dataset says, got {found[1]:,}; the file was cut off "
                    "or replaced, prepare the dataset anew"
                )
            with self._lock:
                self._indexes[file] = found
        return found

    @contextlib.contextmanager
    def _opened(self, file: str) -> Iterator[pa.NativeFile]:
        """The bytes of the records, decompressed."""
        try:
            # A file of its own for each call: readers share nothing, and may run side by side.
            with self._filesystem.open_input_file(file) as opened:
                if not _is_gzip(opened.read_at(_HEADER, 0)):
                    yield opened
                    return
                with self._unpacking:
                    # Those that were used last stand last.
                    content = self._unpacked.pop(file, None)
                    content = _unpacked(file, opened.read_at(opened.size(), 0)) if content is None else content
                    self._unpacked[file] = content
                    while len(self._unpacked) > 1 and sum(map(len, self._unpacked.values())) > _KEPT_BYTES:
                        del self._unpacked[next(iter(self._unpacked))]
            yield pa.BufferReader(content)
        except FileNotFoundError as error:
            raise UserError(f"{file}: the file is gone") from error
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{file}: the file cannot be read: {first_line(error)}") from error


def simplify_table(table: pa.Table, known: Mapping[str, ColumnMetadata]) -> pa.Table:
    """Lists as single values where no row has more than one, and bytes as strings where all of them are UTF-8.

    Args:
      table: From :meth:`TFRecordReader.read_table` without a schema: its lists are null where they are empty.
      known: Columns that are known to hold lists stay lists.
    """
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        lists = name in known and known[name].is_list
        if not lists and pa.types.is_list(column.type) and (pc.max(pc.list_value_length(column)).as_py() or 0) <= 1:
            column = pc.list_element(column, 0)
        kind = column.type
        text = {pa.binary(): pa.string(), pa.list_(pa.binary()): pa.list_(pa.string())}.get(kind)
        if text is not None:
            with contextlib.suppress(pa.ArrowInvalid):
                column = column.cast(text)
        columns[name] = column
    return pa.table(columns)


def _array(ragged: tf.RaggedTensor, single: bool) -> pa.Array:
    values = pa.array(ragged.values.numpy(), _ARROW[ragged.dtype])
    splits = ragged.row_splits.numpy()
    lengths = np.diff(splits)
    if single and (lengths <= 1).all():
        return values if len(values) == len(lengths) else values.take(pa.array(splits[:-1], mask=lengths == 0))
    return pa.ListArray.from_arrays(pa.array(splits), values, mask=pa.array(lengths == 0))


def _index(file: str, opened: pa.NativeFile) -> tuple[np.ndarray, int]:
    size, position, records = opened.size(), 0, 0
    starts = []
    while position < size:
        chunk = opened.read_at(min(_READ_BYTES, size - position), position)
        places, behind = _hop(chunk)
        _check_headers(file, records, chunk, places)
        if not len(places) or position + behind > size:
            raise _damaged(file, records + max(len(places) - 1, 0), "the file ends within it")
        starts.append(position + places[-records % RECORDS_PER_GROUP :: RECORDS_PER_GROUP])
        records += len(places)
        position += behind
    return np.concatenate([*starts, [size]]).astype(np.int64), records


def _hop(data: bytes) -> tuple[np.ndarray, int]:
    """Where each record begins of which the header lies in ``data``, and where the next one would."""
    places, at, last, length_at = [], 0, len(data) - _HEADER, _LENGTH.unpack_from
    while at <= last:
        places.append(at)
        at += length_at(data, at)[0] + _FRAME
    return np.array(places, np.int64), at


def _check_headers(file: str, first: int, data: bytes, places: np.ndarray) -> None:
    """Holds the lengths against their checksums. After a wrong one the places are not those of records, but it is told."""
    headers = np.frombuffer(data, np.uint8)[places[:, None] + np.arange(_HEADER)]
    starts = np.arange(0, headers.size, _HEADER)
    crc = masked_crc32c(headers.ravel(), starts, np.full(len(places), _LENGTH.size))
    bad = np.flatnonzero(crc != _words(data, places + _LENGTH.size))
    if len(bad):
        words = "its length does not fit its checksum" if first + bad[0] else "it does not begin as a TFRecord does"
        raise _damaged(file, first + int(bad[0]), words)


def _words(data: bytes, places: np.ndarray) -> np.ndarray:
    """The uint32 at each place."""
    return np.frombuffer(data, np.uint8)[places[:, None] + np.arange(4)].view("<u4")[:, 0]


def _is_gzip(header: bytes) -> bool:
    # A record of the right length begins like that too, but then its checksum is there.
    if not header.startswith(_GZIP):
        return False
    zero = np.zeros(1, np.int64)
    return len(header) < _HEADER or bool(
        masked_crc32c(np.frombuffer(header, np.uint8), zero, zero + 8)[0] != _words(header, zero + 8)[0]
    )


def _unpacked(file: str, packed: bytes) -> bytes:
    """The content of a gzip file, which may have several members.

    Raises:
      UserError: When it is damaged, with the record up to which it is not.
    """
    content, rest = [], packed
    problem = ""
    while rest.startswith(_GZIP) and not problem:
        member = zlib.decompressobj(31)
        try:
            for at in range(0, len(rest), _READ_BYTES):
                content.append(member.decompress(rest[at : at + _READ_BYTES]))
                if member.eof:
                    break
        except zlib.error as error:
            problem = f"the compressed data is broken: {first_line(error)}"
        if not problem and not member.eof:
            problem = "the compressed file ends within it"
        if not problem:
            rest = member.unused_data + rest[at + _READ_BYTES :]
    if not problem and rest.strip(b"\0"):
        problem = "what follows is not compressed"
    whole = b"".join(content)
    if problem:
        places, behind = _hop(whole)
        raise _damaged(file, len(places) - (behind > len(whole)), problem)
    return whole


def _example(file: str, number: int, record: bytes) -> tf.train.Example:
    try:
        return tf.train.Example.FromString(record)
    except Exception as error:  # protobuf's own class, which depends on how it was built
        raise _damaged(file, number, "it is no tf.Example") from error


def _damaged(file: str, number: int, words: str) -> UserError:
    return UserError(f"{file}: record {number:,} cannot be read, the file is damaged: {words}")

"""Reads TFRecord files of tf.Examples or tf.SequenceExamples, plain or gzip-compressed, thousands of records at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Iterator, Mapping
from types import MappingProxyType

import pyarrow as pa
import tensorflow as tf
from pyarrow import fs

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config.errors import UserError
from ..columns import EncodedColumns
from .arrow_columns import FaultMasks, convert_table, list_log_columns
from .partition_columns import PartitionColumns
from .tf_examples import context_dtypes, list_dtypes, parse_record, parse_records, to_arrow
from .tfrecord_framing import HEADER_BYTES, RecordIndex, decompress_gzip, index_records, is_gzip, split_records

RECORDS_PER_GROUP = 8192
# Records from which the columns and their dtypes are determined.
NUM_INSPECTED_RECORDS = 1000
# Decompressed files stay in memory until their total size exceeds this limit; the file that was used last always stays.
_MAX_DECOMPRESSED_BYTES = 1 << 30
_SIGNATURE_BYTES = 256
_NO_PARTITIONS = PartitionColumns({})


class TFRecordReader:
    """Reads the columns that a schema names from TFRecord files.

    A group is :data:`RECORDS_PER_GROUP` consecutive records. The reader scans each file once to find where its groups
    begin. It decompresses a compressed file as a whole. Safe for use by several threads.

    Args:
      filesystem: The file system that holds the files.
      schema: Which columns to read, and how. None: :meth:`read_table` returns all columns, and :meth:`read_columns`
        cannot be called.
      inspected_records: Without a schema, the number of records at the beginning of a file from which its columns are
        determined. 0: all records.
      rows: Expected number of records of a file, where it is known. Without it, a file that was truncated between two
        records looks complete.
      partitions: Columns whose values are in the names of folders.
    """

    def __init__(
        self,
        filesystem: fs.FileSystem,
        schema: Schema | None,
        inspected_records: int = NUM_INSPECTED_RECORDS,
        rows: Mapping[str, int] = MappingProxyType({}),
        partitions: PartitionColumns = _NO_PARTITIONS,
    ):
        self._filesystem = filesystem
        self._schema = schema
        self._partitions = partitions
        self._inspected_records = inspected_records
        self._expected_rows = rows
        self._column_names = list_log_columns(schema) if schema else []
        lists = {f.log_column for f in schema.features if f.kind == "bag" or f.width > 1} if schema else set()
        self._single_value_columns = set(self._column_names) - lists
        self._indexes: dict[str, RecordIndex] = {}
        self._dtypes: dict[str, dict[str, tf.DType | None]] = {}
        # The columns that are lists of features of tf.SequenceExamples.
        self._list_names: dict[str, set[str]] = {}
        self._all_names: dict[str, list[str]] = {}
        self._decompressed: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._decompression_lock = threading.Lock()

    def group_rows(self, file: str) -> list[int]:
        """Returns the number of records of each group."""
        return self._get_index(file).group_rows()

    def sequential_run(self, file: str, group: int) -> int:
        """Returns the group itself: groups can be read in any order."""
        return group

    def column_types(self, file: str) -> dict[str, str]:
        """Returns an empty mapping: a TFRecord file does not list its columns."""
        return {}

    def column_kinds(self, file: str) -> dict[str, str]:
        """Returns an empty mapping, like :meth:`column_types`."""
        return {}

    def check_types(self, file: str) -> None:
        """Does nothing: a TFRecord file does not list its columns."""

    def group_signature(self, file: str, group: int) -> Hashable:
        """Returns a value that is equal for groups of equal content and hardly ever equal for others."""
        start, end = self._get_index(file).byte_range(group)
        with self._open(file) as opened:
            # The last bytes are the checksum of the last record.
            return end - start, opened.read_at(min(_SIGNATURE_BYTES, end - start), start), opened.read_at(4, end - 4)

    def read_columns(self, file: str, group: int, clamp: bool = False) -> tuple[EncodedColumns, FaultMasks]:
        """Returns the schema's columns of one group and its faulty rows; see :func:`.arrow_columns.convert_table`."""
        assert self._schema is not None
        return convert_table(self.read_table(file, group), self._schema, file, clamp, lambda: self._all_names[file])

    def read_table(self, file: str, group: int) -> pa.Table:
        """Returns the columns of one group as int64, float32 or binary.

        A column holds single values if the schema says so and no row has more than one. All others hold lists.
        """
        records = self._read_records(file, group)
        dtypes = self._get_dtypes(file)
        present = {name: dtype for name, dtype in dtypes.items() if dtype is not None}
        first_record = group * RECORDS_PER_GROUP
        list_names = self._list_names.get(file, set()) & present.keys()
        parsed = parse_records(file, first_record, records, present, list_names) if present else {}
        table = pa.table(
            {
                name: to_arrow(parsed[name], name in self._single_value_columns)
                if name in parsed
                else pa.nulls(len(records))
                for name in dtypes
            }
        )
        return self._partitions.add_to(table, file, len(records))

    def _get_dtypes(self, file: str) -> dict[str, tf.DType | None]:
        """Returns the dtype of each column to read; None for a column without any value. Missing columns are left out."""
        with self._lock:
            cached = self._dtypes.get(file)
        if cached is not None:
            return cached
        dtypes: dict[str, tf.DType | None] = {}
        limit = self._inspected_records if self._schema is None else NUM_INSPECTED_RECORDS
        for number, record in self._iterate_records(file, limit):
            for name, dtype in self._inspect_record(file, number, record).items():
                if dtypes.get(name) is None:
                    dtypes[name] = dtype
            if self._schema and all(dtypes.get(name) is not None for name in self._column_names):
                break
        for name in self._column_names:
            if dtypes.get(name) is None and name not in self._partitions.names:
                dtypes.update(self._search_column(file, name))
        names = [name for name in self._column_names if name in dtypes] if self._schema else sorted(dtypes)
        with self._lock:
            self._all_names[file] = sorted(dtypes)
            self._dtypes[file] = {name: dtypes[name] for name in names}
        return self._dtypes[file]

    def _inspect_record(self, file: str, number: int, record: bytes) -> dict[str, tf.DType | None]:
        """Returns the dtypes of a record's features, and remembers which are lists of features."""
        example = parse_record(file, number, record)
        context, lists = context_dtypes(example), list_dtypes(example)
        repeated = context.keys() & lists.keys()
        if repeated:
            raise UserError(
                f"{file}, record {number:,}: '{min(repeated)}' is both a feature and a list of features of a "
                "tf.SequenceExample; rename one of them"
            )
        with self._lock:
            self._list_names.setdefault(file, set()).update(lists)
        return context | lists

    def _search_column(self, file: str, name: str) -> dict[str, tf.DType | None]:
        """Searches the whole file for a column that the first records lack, because a rare column may first appear late."""
        key = name.encode()
        column_dtypes: dict[str, tf.DType | None] = {}
        for number, record in self._iterate_records(file, 0):
            # Parsing is slow, so records without the name are skipped.
            if key not in record:
                continue
            dtypes = self._inspect_record(file, number, record)
            if name in dtypes:
                column_dtypes[name] = dtypes[name]
                if column_dtypes[name] is not None:
                    break
        return column_dtypes

    def _iterate_records(self, file: str, limit: int) -> Iterator[tuple[int, bytes]]:
        """Yields the first ``limit`` records of a file (0: all), each with its number."""
        number = 0
        for group in range(len(self.group_rows(file))):
            for record in self._read_records(file, group):
                yield number, record
                number += 1
                if number == limit:
                    return

    def _read_records(self, file: str, group: int) -> list[bytes]:
        index = self._get_index(file)
        start, end = index.byte_range(group)
        with self._open(file) as opened:
            data = opened.read_at(end - start, start)
        first_record = group * RECORDS_PER_GROUP
        return split_records(file, data, first_record, min(RECORDS_PER_GROUP, index.num_records - first_record))

    def _get_index(self, file: str) -> RecordIndex:
        with self._lock:
            cached = self._indexes.get(file)
        if cached is not None:
            return cached
        with self._open(file) as opened:
            index = index_records(file, opened, RECORDS_PER_GROUP)
        expected = self._expected_rows.get(file, index.num_records)
        if index.num_records != expected:
            raise UserError(
                f"{file}: expected {expected:,} records, as its dataset states, got {index.num_records:,}; the file was truncated or "
                "replaced. Prepare the dataset again"
            )
        with self._lock:
            self._indexes[file] = index
        return index

    @contextlib.contextmanager
    def _open(self, file: str) -> Iterator[pa.NativeFile]:
        """Opens a file; a compressed one is decompressed."""
        try:
            # Each call opens the file itself: calls share no state and can run in parallel.
            with self._filesystem.open_input_file(file) as opened:
                if not is_gzip(opened.read_at(HEADER_BYTES, 0)):
                    yield opened
                    return
                content = self._decompress(file, opened)
            yield pa.BufferReader(content)
        except FileNotFoundError as error:
            raise UserError(f"{file}: the file no longer exists; restore it") from error
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{file}: cannot read the file: {first_line(error)}; check that the file is reachable"
            ) from error

    def _decompress(self, file: str, opened: pa.NativeFile) -> bytes:
        # One file at a time: two threads that need the same file decompress it once.
        with self._decompression_lock:
            content = self._decompressed.pop(file, None)
            content = decompress_gzip(file, opened.read_at(opened.size(), 0)) if content is None else content
            # The dictionary is in order of use.
            self._decompressed[file] = content
            while len(self._decompressed) > 1 and sum(map(len, self._decompressed.values())) > _MAX_DECOMPRESSED_BYTES:
                del self._decompressed[next(iter(self._decompressed))]
        return content

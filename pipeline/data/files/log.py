"""A user's own log in Parquet or TFRecord files, described by a schema, as a source of training data.

A faulty row keeps its place in its block. Which rows make up a batch therefore depends only on the sizes of the groups,
and not on the rows' values. With ``on_invalid: skip``, a faulty row loses its labels, so that it does not affect
training.
"""

from __future__ import annotations

import json
import posixpath
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ....models.schema import Schema
from ...config.errors import UserError
from ...config.settings import Files
from ...config.yaml_files import read
from ..checks import CheckedDay, check_days
from ..checks.checkable_log import DaySample, RowGroup
from ..columns import Columns, EncodedColumns, decode_columns
from ..source import RowFaultCounts, RowFaults, Source
from .arrow_columns import FaultMasks, blank_faulty_rows
from .blocks import Block, divide_into_days
from .layout import LogLayout, find_layout
from .quarantine import Quarantine, make_records
from .readers import FileReader, make_reader

# Minimum number of blocks in a day's sample, because a fault may begin in the middle of a day.
_MIN_SAMPLED_BLOCKS = 2
_MAX_PARALLEL_READS = 8


class FileLog(Source):
    """The log in a file or a folder.

    Use it through the setting ``data.source: files``, or directly to read blocks of a log in another program. A block
    is a group of a file, or the part of a group that belongs to a period. A group is a Parquet row group, a part of a
    large row group, or 8,192 records of a TFRecord file.

    Args:
      settings: Where the log is, and what to do with faulty rows and anomalous days.
      schema: The schema, instead of the file ``settings.schema``.
      excluded_days: Names of days to leave out.

    Attributes:
      schema: Names the columns of each block.
      empty_days: Names of days without rows. They are left out of ``days`` if ``on_anomalous_day`` is ``skip``.
      undated_folders: Folders of rows without a date. They are left out of ``days`` if ``on_anomalous_day`` is ``skip``.

    Raises:
      UserError: If a setting is missing, the log or the schema cannot be read, or no day is left.

    Example:
    >>> import tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> from steadyrank.models import Feature, Task
    >>> schema = Schema((Feature("price", "numerical"),), (Task("click", "binary"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = pa.table({"price": [1.0, 2.0, 3.0, 4.0], "click": [0, 1, 0, 1]})
    ...     pq.write_table(table, f"{folder}/a.parquet")
    ...     log = FileLog(Files(path=folder, periods=2), schema)
    ...     log.days, log.block(day=1, index=0)["price"].tolist()
    (['period_0', 'period_1'], [3.0, 4.0])
    """

    encodes_strings = True
    validates_rows = True

    def __init__(self, settings: Files, schema: Schema | None = None, excluded_days: Collection[str] = ()):
        _check_settings(settings, schema)
        self._settings = settings
        self.schema = read(Schema, settings.schema) if schema is None else schema
        layout = find_layout(settings.path, settings.day_keys)
        self._infos = layout.infos
        self._root = layout.root
        self.undated_folders = _list_undated_folders(layout, settings)
        self._reader = make_reader(layout, self.schema)
        self._days, self.empty_days = divide_into_days(layout, _read_group_rows(self._reader, layout), settings)
        self.exclude_days(excluded_days)
        for file in dict.fromkeys(block.file for _, blocks in self._days for block in blocks):
            self._reader.check_types(file)
        self._quarantine = Quarantine()
        self._lock = threading.Lock()
        self._recorded_blocks: set[tuple[int, int]] = set()
        self._skipped_rows_of_day: Counter[int] = Counter()
        self._skipped_rows = 0
        self._skipped: Counter[str] = Counter()
        self._clamped: Counter[str] = Counter()

    @property
    def days(self) -> Sequence[str]:
        """The names of the days, in order."""
        return [name for name, _ in self._days]

    def block_rows(self, day: int) -> Sequence[int]:
        """Returns the number of rows of each block of a day, in order."""
        return [block.rows for block in self._blocks(day)]

    def block(self, day: int, index: int) -> Columns:
        """Returns the columns of one block and records its faulty rows."""
        columns, faults = self.read_block(day, index)
        if faults is not None:
            self.record_faults(faults)
        return decode_columns(columns)

    def storage_chunks(self, day: int) -> Sequence[Hashable]:
        """Returns, for each block of a day, the part of a file that it is stored in."""
        return [(block.file, self._reader.sequential_run(block.file, block.group)) for block in self._blocks(day)]

    def fingerprint(self, days: Sequence[int]) -> list[Any]:
        """Returns a JSON value that changes when a file of ``days`` changes, by sizes and modification times."""
        files = sorted({file for day in days for file in self.day_files(day)})
        infos = [self._infos[file] for file in files]
        blocks = [[(b.file, b.group, b.first, b.rows) for b in self._blocks(day)] for day in days]
        return [[(info.path, info.size, info.mtime_ns) for info in infos], blocks]

    # Faulty rows.

    def read_block(self, day: int, index: int) -> tuple[EncodedColumns, RowFaults | None]:
        """Returns the columns of one block and its faulty rows, without recording the faults.

        Raises:
          UserError: If the block cannot be read, or has a faulty row and ``on_invalid`` is ``fail``.
        """
        block = self._blocks(day)[index]
        columns, masks = self._reader.read_columns(block.file, block.group, self._settings.on_invalid == "clamp")
        columns = {name: column[block.rows_of_group] for name, column in columns.items()}
        masks = masks.select_rows(block.rows_of_group)
        if not masks:
            return columns, None
        is_faulty = np.logical_or.reduce([np.zeros(block.rows, bool), *masks.faulty.values()])
        if is_faulty.any() and self._settings.on_invalid == "fail":
            _raise_faulty_row(block, masks, is_faulty, columns, self.schema)
        records = make_records(block, decode_columns(columns), masks, is_faulty)
        faults = RowFaults(day, index, int(is_faulty.sum()), records)
        return blank_faulty_rows(columns, is_faulty, self.schema), faults

    def record_faults(self, faults: RowFaults) -> None:
        """Counts the faulty rows of a block and writes them to the quarantine, once for each block.

        Raises:
          UserError: If the day has more faulty rows than ``max_invalid_share`` allows.
        """
        with self._lock:
            if (faults.day, faults.index) in self._recorded_blocks:
                return
            self._recorded_blocks.add((faults.day, faults.index))
            self._skipped_rows_of_day[faults.day] += faults.skipped_rows
            self._count(self._quarantine.add(faults.rows))
            total, allowed = sum(self.block_rows(faults.day)), self._settings.max_invalid_share
            skipped = self._skipped_rows_of_day[faults.day]
            if faults.skipped_rows and skipped > allowed * total:
                latest = next(row for row in faults.rows if not row.get("clamped"))
                raise UserError(
                    f"{self.days[faults.day] or self._settings.path}: more than {allowed:.2%} of the rows are faulty "
                    f"({skipped:,} of {total:,} so far; the latest is {latest['file']}, row {latest['row']:,}: "
                    f"{latest['reasons'][0]}). Fix these rows, or allow more: --config.data.files.max_invalid_share"
                )

    @property
    def row_faults(self) -> RowFaultCounts:
        """Totals of the faulty and clamped rows that were recorded so far."""
        return RowFaultCounts(self._skipped_rows, dict(self._skipped), dict(self._clamped))

    def open_quarantine(self, path: Path) -> None:
        """Writes every faulty or clamped row to this file from now on. Rows that the file already holds count as recorded."""
        files = {self.relative_name(file): file for file in self._infos}

        def locate(recorded: str) -> str:
            parts = recorded.split("/")
            suffixes = ("/".join(parts[i:]) for i in range(len(parts)))
            return recorded if recorded in self._infos else next((files[s] for s in suffixes if s in files), recorded)

        self._quarantine = Quarantine(path, locate)
        self._count(self._quarantine.recorded_rows)

    # The check of days, see :class:`.checks.checkable_log.CheckableLog`.

    def check_days(
        self, previous: Sequence[CheckedDay] = (), report_progress: Callable[[int, int], None] | None = None
    ) -> list[CheckedDay]:
        """Checks each day against the days before it; see :func:`.checks.validation.check_days`."""
        return check_days(self, self._settings, previous, report_progress)

    def exclude_days(self, names: Collection[str]) -> None:
        """Removes days from the log. Call it before any block is read.

        Raises:
          UserError: If no day is left.
        """
        self._days = [(name, blocks) for name, blocks in self._days if name not in names]
        if not self._days:
            raise UserError(f"{self._settings.path}: no day is left after excluding {', '.join(sorted(names))}")

    def content(self, day: int) -> int:
        """Returns a checksum of a day that changes when its files' sizes or their groups' rows change."""
        sizes = [self._infos[file].size for file in self.day_files(day)]
        blocks = [(block.group, block.first, block.rows) for block in self._blocks(day)]
        return zlib.crc32(json.dumps([sizes, blocks]).encode())

    def day_files(self, day: int) -> list[str]:
        """Returns the files that hold rows of a day, in order."""
        return list(dict.fromkeys(block.file for block in self._blocks(day)))

    def column_types(self, day: int) -> dict[str, str]:
        """Returns the kinds of the schema's columns in a day's files. If a kind differs between files, names the files."""
        first_file: dict[str, dict[str, str]] = {}
        for file in self.day_files(day):
            for name, kind in self._reader.column_kinds(file).items():
                # A column of nulls fits any kind.
                if kind not in ("null", "list of null"):
                    first_file.setdefault(name, {}).setdefault(kind, self.relative_name(file))
        return {
            name: next(iter(files)) if len(files) == 1 else " and ".join(f"{kind} ({files[kind]})" for kind in files)
            for name, files in first_file.items()
        }

    def sample_rows(self, day: int, rows: int) -> DaySample:
        """Returns about ``rows`` rows of a day without faults, from blocks that are spread over the day."""
        blocks = self._blocks(day)
        num_needed = -(-rows * len(blocks) // max(sum(block.rows for block in blocks), 1))
        num_sampled = min(max(num_needed, _MIN_SAMPLED_BLOCKS), len(blocks))
        sample: list[EncodedColumns] = []
        num_read, faults = 0, Counter[str]()
        for index in np.linspace(0, len(blocks) - 1, num_sampled).round().astype(int).tolist():
            block = blocks[index]
            columns, masks = self._reader.read_columns(block.file, block.group, self._settings.on_invalid == "clamp")
            selected = np.arange(block.first, block.first + min(block.rows, rows))
            num_read += len(selected)
            faults.update({reason: int(mask[selected].sum()) for reason, mask in masks.faulty.items()})
            for mask in masks.faulty.values():
                selected = selected[~mask[selected]]
            sample.append({name: column[selected] for name, column in columns.items()})
        return DaySample(sample, num_read, faults)

    def row_groups(self, day: int) -> Iterator[RowGroup]:
        """Yields the groups that start in a day."""
        for block in self._blocks(day):
            if not block.first:
                signature = self._reader.group_signature(block.file, block.group)
                yield RowGroup(block.file, block.group, block.rows, signature)

    def read_group(self, file: str, index: int) -> EncodedColumns:
        """Returns the columns of one whole group, including its faulty rows."""
        return self._reader.read_columns(file, index)[0]

    def relative_name(self, file: str) -> str:
        """Returns a file's path relative to the log's folder."""
        return posixpath.basename(file) if file == self._root else posixpath.relpath(file, self._root)

    def _blocks(self, day: int) -> list[Block]:
        return self._days[day][1]

    def _count(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if row.get("clamped"):
                self._clamped.update(row["reasons"])
            else:
                self._skipped_rows += 1
                self._skipped.update(row["reasons"])


def _check_settings(settings: Files, schema: Schema | None) -> None:
    if not settings.path:
        raise UserError("data.files.path is required: the file or the folder of the log")
    if not settings.schema and schema is None:
        raise UserError(
            "data.files.schema is required: the schema's YAML file; `python -m steadyrank.pipeline.describe PATH` proposes one"
        )


def _list_undated_folders(layout: LogLayout, settings: Files) -> list[str]:
    """Returns the folders of rows without a date.

    Raises:
      UserError: If there are any and the settings do not skip them.
    """
    if layout.undated and settings.on_anomalous_day != "skip":
        first = posixpath.relpath(layout.undated[0], layout.root)
        raise UserError(
            f"{settings.path}: {first} is in the folder of rows without a date. A run can neither train on such rows in "
            "their order nor hold them out. Remove the folder, or train without it: "
            "--config.data.files.on_anomalous_day=skip"
        )
    return layout.undated_folders


def _read_group_rows(reader: FileReader, layout: LogLayout) -> dict[str, list[int]]:
    # In parallel, because requests to an object store have a high latency.
    with futures.ThreadPoolExecutor(_MAX_PARALLEL_READS) as pool:
        return dict(zip(layout.files, pool.map(reader.group_rows, layout.files), strict=True))


def _raise_faulty_row(
    block: Block, masks: FaultMasks, is_faulty: np.ndarray, columns: EncodedColumns, schema: Schema
) -> NoReturn:
    first = int(np.flatnonzero(is_faulty)[0])
    reason = next(reason for reason, mask in masks.faulty.items() if mask[first])
    name = reason.partition(":")[0]
    column = columns.get(name)
    # A missing number needs no value.
    value = ""
    if isinstance(column, np.ndarray) and column.ndim == 1 and np.isfinite(column[first]):
        value = f" ({column[first]:g})"
    is_binary = any(task.kind == "binary" and name in (task.name, task.label_column) for task in schema.tasks)
    # A label such as -1 or 2 is a convention of the log rather than a fault.
    remedy = (
        "A binary label is 0, 1 or between them. For other numbers, set label_threshold in the schema: the label is 1 "
        "above it. "
        if is_binary and value
        else ""
    )
    raise UserError(
        f"{block.file}, row {block.row_of_file(first):,}: {reason}{value}; {int(is_faulty.sum()):,} of {block.rows:,} rows in this "
        f"block are faulty. {remedy}Fix them, or train without them: --config.data.files.on_invalid=skip"
    )

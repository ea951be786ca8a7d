"""A user's own log: files of columns, described by a schema, as a source.

A block is a row group (in TFRecord a run of records), or the part of one that belongs to a day. A faulty row keeps its place,
so that which batch holds what is known from the groups' sizes alone: with ``on_invalid: skip`` it loses its labels and
trains nothing.
"""

from __future__ import annotations

import dataclasses
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
from ..checks.checkable_log import RowGroup
from ..source import Columns, EncodedColumns, RowFaultCounts, RowFaults, Source, decode_columns
from . import layout
from .arrow_columns import FaultMasks, RowMasks, blank_faulty_rows
from .quarantine import MAX_ROWS_WITH_VALUES, Quarantine, to_plain_value
from .readers import make_reader

# Blocks of which a sample is made, at least: a day may begin well.
_LEAST_PARTS = 2
_ASKED_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class _Part:
    """Rows of one group."""

    file: str
    group: int
    first: int
    rows: int
    row_of_file: int


class FileLog(Source):
    """The log in a file or a folder.

    Args:
      settings: Where it lies, and what is done with faulty rows.
      schema: Taken instead of the schema's file.
      excluded_days: Names of days that the log is to be without.

    Attributes:
      empty_days: Names of days without rows, which are left out where that is allowed.

    Raises:
      UserError: When there is no log, or its files or the schema cannot be read.
    """

    encodes_strings = True
    validates_rows = True

    def __init__(self, settings: Files, schema: Schema | None = None, excluded_days: Collection[str] = ()):
        if not settings.path or not (settings.schema or schema):
            missing = "path" if not settings.path else "schema"
            hint = "" if settings.path else "the file or the folder of the log"
            hint = hint or "the YAML file of the schema; `python -m steadyrank.pipeline.describe PATH` proposes one"
            raise UserError(f"data.files.{missing} is needed: {hint}")
        self._settings = settings
        self.schema = read(Schema, settings.schema) if schema is None else schema
        found = layout.find_layout(settings.path)
        self._infos = found.infos
        self._root = found.root
        self._reader = make_reader(found, self.schema)
        self.empty_days: list[str] = []
        self._days = self._cut(found)
        self.exclude_days(excluded_days)
        self._quarantine = Quarantine()
        self._lock = threading.Lock()
        self._checked: set[tuple[int, int]] = set()
        self._skipped_of_day: Counter[int] = Counter()
        self._skipped_rows = 0
        self._skipped: Counter[str] = Counter()
        self._clamped: Counter[str] = Counter()

    @property
    def days(self) -> Sequence[str]:
        """The days' names, in order."""
        return [name for name, _ in self._days]

    def exclude_days(self, names: Collection[str]) -> None:
        """From now on the log is without these days; before any is read.

        Raises:
          UserError: When none is left.
        """
        self._days = [(name, parts) for name, parts in self._days if name not in names]
        if not self._days:
            raise UserError(f"{self._settings.path}: no day is left")

    def block_rows(self, day: int) -> Sequence[int]:
        """Rows of each block of the day."""
        return [part.rows for part in self._days[day][1]]

    def storage_chunks(self, day: int) -> Sequence[Hashable]:
        """Of each block what it is a part of, the parts of which are best read one after the other."""
        return [(part.file, self._reader.sequential_run(part.file, part.group)) for part in self._days[day][1]]

    def block(self, day: int, index: int) -> Columns:
        """The columns of one block."""
        columns, faults = self.read_block(day, index)
        if faults is not None:
            self.record_faults(faults)
        return decode_columns(columns)

    def read_block(self, day: int, index: int) -> tuple[EncodedColumns, RowFaults | None]:
        """The columns of one block, the strings coded, and what was wrong with its rows."""
        part = self._days[day][1][index]
        columns, findings = self._reader.read_columns(part.file, part.group, self._settings.on_invalid == "clamp")
        rows = slice(part.first, part.first + part.rows)
        columns = {name: column[rows] for name, column in columns.items()}
        findings = findings.part(rows)
        if not findings:
            return columns, None
        faulty = np.logical_or.reduce([np.zeros(part.rows, bool), *findings.faulty.values()])
        if faulty.any() and self._settings.on_invalid == "fail":
            self._fail(part, findings.faulty, faulty)
        row_faults = _make_row_faults(day, index, part, columns, findings, faulty)
        return blank_faulty_rows(columns, faulty, self.schema), row_faults

    def record_faults(self, faults: RowFaults) -> None:
        """Counts what was wrong with a block and writes it down, once; beyond what is allowed it is an error."""
        with self._lock:
            if (faults.day, faults.index) in self._checked:
                return
            self._checked.add((faults.day, faults.index))
            self._skipped_of_day[faults.day] += faults.skipped_rows
            self._count(self._quarantine.add(faults.rows))
            total, allowed = sum(self.block_rows(faults.day)), self._settings.max_invalid_share
            skipped = self._skipped_of_day[faults.day]
            if faults.skipped_rows and skipped > allowed * total:
                last = next(row for row in faults.rows if not row.get("clamped"))
                raise UserError(
                    f"{self.days[faults.day] or self._settings.path}: more than {allowed:.2%} of the rows are faulty "
                    f"({skipped:,} of {total:,} so far; at last {last['file']}, row {last['row']:,}: {last['reasons'][0]}). "
                    "Mend them, or allow more: --config.data.files.max_invalid_share"
                )

    @property
    def row_faults(self) -> RowFaultCounts:
        """Totals of the faulty rows that were read so far; each row counts once, however often it is read."""
        return RowFaultCounts(self._skipped_rows, dict(self._skipped), dict(self._clamped))

    def check_days(
        self, previous: Sequence[CheckedDay] = (), report_progress: Callable[[int, int], None] | None = None
    ) -> list[CheckedDay]:
        """Checks a sample of each day; see :func:`..checks.check_days`."""
        return check_days(self, self._settings, previous, report_progress)

    def fingerprint(self, days: Sequence[int]) -> list[Any]:
        """Tells the content of some days: changes when a file does."""
        files = sorted({file for day in days for file in self.day_files(day)})
        infos = [self._infos[file] for file in files]
        parts = [[(part.file, part.group, part.first, part.rows) for part in self._days[day][1]] for day in days]
        return [[(info.path, info.size, info.mtime_ns) for info in infos], parts]

    def day_files(self, day: int) -> list[str]:
        """The files that have rows of a day."""
        return list(dict.fromkeys(part.file for part in self._days[day][1]))

    def content(self, day: int) -> int:
        """Tells whether a day is the one that it was: by the sizes of its files and the rows of their groups."""
        sizes = [self._infos[file].size for file in self.day_files(day)]
        parts = [(part.group, part.first, part.rows) for part in self._days[day][1]]
        return zlib.crc32(json.dumps([sizes, parts]).encode())

    def column_types(self, day: int) -> dict[str, str]:
        """The columns of a day's files and their types; of a column that is not alike in all of them, every type."""
        found = [self._reader.column_types(file) for file in self.day_files(day)]
        names = dict.fromkeys(name for fields in found for name in fields)
        kinds = {name: {fields.get(name, "in some files only") for fields in found} for name in names}
        return {name: " and ".join(sorted(kind)) for name, kind in kinds.items()}

    def sample_rows(self, day: int, rows: int) -> list[EncodedColumns]:
        """About so many of a day's rows that have no fault, from blocks that are spread over it."""
        parts = self._days[day][1]
        wanted = -(-rows * len(parts) // max(sum(part.rows for part in parts), 1))
        places = np.linspace(0, len(parts) - 1, min(max(wanted, _LEAST_PARTS), len(parts))).round().astype(int)
        blocks = []
        for place in places.tolist():
            part = parts[place]
            columns, findings = self._reader.read_columns(part.file, part.group, self._settings.on_invalid == "clamp")
            taken = np.arange(part.first, part.first + min(part.rows, rows))
            for faulty in findings.faulty.values():
                taken = taken[~faulty[taken]]
            blocks.append({name: column[taken] for name, column in columns.items()})
        return blocks

    def row_groups(self, day: int) -> Iterator[RowGroup]:
        """Yields the row groups that start in a day."""
        for part in self._days[day][1]:
            if not part.first:
                yield RowGroup(part.file, part.group, part.rows, self._reader.group_signature(part.file, part.group))

    def relative_name(self, file: str) -> str:
        """A file's name within the log."""
        return posixpath.basename(file) if file == self._root else posixpath.relpath(file, self._root)

    def read_group(self, file: str, index: int) -> EncodedColumns:
        """Reads all rows of a row group, faulty ones included."""
        return self._reader.read_columns(file, index)[0]

    def open_quarantine(self, path: Path) -> None:
        """From now on every faulty row is written to this file, a line of JSON each; those that stand there count as met."""
        self._quarantine = Quarantine(path)
        self._count(self._quarantine.recorded_rows)

    def _count(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._skipped_rows += not row.get("clamped")
            self._skipped.update(row["reasons"] if not row.get("clamped") else ())
            self._clamped.update(row["reasons"] if row.get("clamped") else ())

    def _cut(self, found: layout.LogLayout) -> list[tuple[str, list[_Part]]]:
        # Each file is asked for its groups, which takes a while in an object store.
        all_files = [file for _, files in found.days for file in files]
        with futures.ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            groups = dict(zip(all_files, pool.map(self._reader.group_rows, all_files), strict=True))
        days = []
        for name, files in found.days:
            parts = []
            for file in files:
                before = 0
                for group, rows in enumerate(groups[file]):
                    if rows:
                        parts.append(_Part(file, group, 0, rows, before))
                    before += rows
            if not parts and name and self._settings.on_anomalous_day == "skip":
                self.empty_days.append(name)
                continue
            if not parts:
                raise UserError(
                    f"{self._settings.path}: {name or 'the log'} has no rows; remove the day, put its files there"
                    + (", or train without it: --config.data.files.on_anomalous_day=skip" if name else "")
                )
            days.append((name, parts))
        if not days:
            raise UserError(f"{self._settings.path}: no day has any rows")
        return days if days[0][0] else _periods(days[0][1], self._settings)

    def _fail(self, part: _Part, faults: RowMasks, faulty: np.ndarray) -> NoReturn:
        first = int(np.flatnonzero(faulty)[0])
        reason = next(reason for reason, rows in faults.items() if rows[first])
        raise UserError(
            f"{part.file}, row {part.row_of_file + part.first + first:,}: {reason}; {int(faulty.sum()):,} of "
            f"{part.rows:,} rows there are faulty. "
            "Mend them, or train without them: --config.data.files.on_invalid=skip"
        )


def _make_row_faults(
    day: int, index: int, part: _Part, columns: EncodedColumns, findings: FaultMasks, faulty: np.ndarray
) -> RowFaults:
    noted = np.logical_or.reduce([*findings.clamped.values(), *findings.faulty.values()])
    plain = decode_columns(columns)
    rows: list[dict[str, Any]] = []
    for place in np.flatnonzero(noted):
        told: dict[str, Any] = {
            "file": part.file,
            "row": part.row_of_file + part.first + int(place),
            "reasons": [
                reason
                for reason, found in (findings.faulty if faulty[place] else findings.clamped).items()
                if found[place]
            ],
        }
        if not faulty[place]:
            told["clamped"] = True
        if len(rows) < MAX_ROWS_WITH_VALUES:
            told["values"] = {name: to_plain_value(column[place]) for name, column in plain.items()}
        rows.append(told)
    return RowFaults(day, index, int(faulty.sum()), rows)


def _periods(parts: list[_Part], settings: Files) -> list[tuple[str, list[_Part]]]:
    """The rows in their order, cut into periods of equal length, where no folder tells the days."""
    total, periods = sum(part.rows for part in parts), settings.periods
    if total < periods:
        raise UserError(f"{settings.path}: {total} rows cannot be cut into {periods} periods; see data.files.periods")
    ends = [total * (i + 1) // periods for i in range(periods)]
    digits = len(str(periods - 1))
    days: list[tuple[str, list[_Part]]] = [(f"period_{i:0{digits}}", []) for i in range(periods)]
    before, period = 0, 0
    for part in parts:
        at = 0
        while at < part.rows:
            rows = min(part.rows - at, ends[period] - before)
            days[period][1].append(dataclasses.replace(part, first=at, rows=rows))
            at, before = at + rows, before + rows
            if before == ends[period]:
                period += 1
    return days

"""The quarantine of a run: its faulty and clamped rows, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Columns
from .arrow_columns import FaultMasks
from .blocks import Block

# Number of rows that are written with their values. Other rows have only their file, row number and reasons.
MAX_ROWS_WITH_VALUES = 1000


class Quarantine:
    """Records each faulty or clamped row once, in memory and in a file.

    A resumed run opens the file of the interrupted run and appends to it. It first removes an
    incomplete last line that a killed process left.

    Args:
      path: The file, such as ``quarantine.jsonl``; it is created with the first row. None: rows are recorded in memory
        only.
      locate: Returns the present path of a recorded file, because the log may have moved since.

    Attributes:
      recorded_rows: The rows that the file had when it was opened.

    Example:
    >>> quarantine = Quarantine()
    >>> row = {"file": "a.parquet", "row": 7, "reasons": ["age: not finite"]}
    >>> len(quarantine.add([row])), len(quarantine.add([row]))
    (1, 0)
    """

    def __init__(self, path: Path | None = None, locate: Callable[[str], str] = lambda file: file):
        self._path = path
        self._recorded: set[tuple[str, int]] = set()
        self.recorded_rows: list[dict[str, Any]] = []
        if path is None or not path.exists():
            return
        with open(path, "r+b") as file:
            content = file.read()
            content = content[: content.rfind(b"\n") + 1]
            file.truncate(len(content))
        self.recorded_rows = [json.loads(line) for line in content.splitlines()]
        self._recorded = {(locate(row["file"]), row["row"]) for row in self.recorded_rows}

    def add(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Records the new rows and returns them.

        Args:
          rows: For each row its ``file``, its ``row`` number in that file, its ``reasons``, and optionally ``clamped``
            and ``values``.

        Returns:
          The rows that were not recorded before.
        """
        new_rows = [row for row in rows if (row["file"], row["row"]) not in self._recorded]
        lines = []
        for row in new_rows:
            self._recorded.add((row["file"], row["row"]))
            with_values = len(self._recorded) <= MAX_ROWS_WITH_VALUES
            lines.append(json.dumps(row if with_values else {k: v for k, v in row.items() if k != "values"}))
        if lines and self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so a killed process loses no complete line and truncates at most the last one.
            with open(self._path, "ab", buffering=0) as file:
                file.write(("\n".join(lines) + "\n").encode())
        return new_rows


def make_records(block: Block, columns: Columns, masks: FaultMasks, is_faulty: np.ndarray) -> list[dict[str, Any]]:
    """Returns one record for each faulty or clamped row of a block.

    Args:
      block: The block.
      columns: Its columns, after clamping.
      masks: Its faulty and clamped rows, by reason.
      is_faulty: Which rows are faulty for any reason, bool ``[rows]``.

    Returns:
      Records with ``file``, ``row`` and ``reasons``. A row that was clamped and has no fault also has ``clamped``. The
      first :data:`MAX_ROWS_WITH_VALUES` records also have ``values``.
    """
    is_recorded = np.logical_or.reduce([*masks.clamped.values(), *masks.faulty.values()])
    records: list[dict[str, Any]] = []
    for row in np.flatnonzero(is_recorded):
        row_masks = masks.faulty if is_faulty[row] else masks.clamped
        record: dict[str, Any] = {
            "file": block.file,
            "row": block.row_of_file(int(row)),
            "reasons": [reason for reason, mask in row_masks.items() if mask[row]],
        }
        if not is_faulty[row]:
            record["clamped"] = True
        if len(records) < MAX_ROWS_WITH_VALUES:
            record["values"] = {name: to_plain_value(column[row]) for name, column in columns.items()}
        records.append(record)
    return records


def to_plain_value(value: np.ndarray | np.generic | bytes) -> object:
    r"""Converts a value of a column to the plain types of JSON.

    Bytes are decoded as UTF-8, with ``\x`` escapes for other bytes. NaN and infinity become strings.

    Example:
    >>> to_plain_value(np.array([b"de", b"fr"]))
    ['de', 'fr']
    """
    plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(plain, list):
        return [to_plain_value(item) for item in plain]
    if isinstance(plain, bytes):
        return plain.decode("utf-8", "backslashreplace")
    return str(plain) if isinstance(plain, float) and not np.isfinite(plain) else plain

"""Where published metrics go. One interface: ``write(step, metrics)`` and ``close()``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from ...foundation.json_values import to_json_value

Metrics = Mapping[str, Any]


class Writer(Protocol):
    """Takes publications."""

    def write(self, step: int, metrics: Metrics) -> None:
        """Takes one publication; values are numbers or texts."""
        ...

    def close(self) -> None:
        """Makes sure that everything is where it belongs."""
        ...


class JsonLinesWriter:
    """One JSON object a line, each written at once, so that a killed job leaves whole lines.

    Args:
      path: The file; lines are appended.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer, which would hand over a long line in pieces.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the run

    def write(self, step: int, metrics: Metrics) -> None:
        """Appends a line."""
        line = json.dumps(to_json_value({"step": step} | dict(metrics))) + "\n"
        self._file.write(line.encode())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardWriter:
    """TensorBoard events, numbers only, with the keys as tags.

    Args:
      path: The folder.
    """

    def __init__(self, path: Path):
        self._writer = tf.summary.create_file_writer(str(path))

    def write(self, step: int, metrics: Metrics) -> None:
        """Adds a scalar for each number."""
        with self._writer.as_default(step=step):
            for key, value in metrics.items():
                if not isinstance(value, str):
                    tf.summary.scalar(key, value)

    def close(self) -> None:
        """Flushes and closes."""
        self._writer.close()


class MemoryWriter:
    """Keeps the publications, for tests and notebooks.

    Attributes:
      lines: Each publication with its ``step``.
    """

    def __init__(self):
        self.lines: list[dict[str, Any]] = []

    def write(self, step: int, metrics: Metrics) -> None:
        """Keeps a copy."""
        self.lines.append({"step": step} | dict(metrics))

    def close(self) -> None:
        """Nothing to do."""


class Writers:
    """Several writers as one."""

    def __init__(self, writers: Sequence[Writer]):
        self._writers = writers

    def write(self, step: int, metrics: Metrics) -> None:
        """Hands the publication to each."""
        for writer in self._writers:
            writer.write(step, metrics)

    def close(self) -> None:
        """Closes each."""
        for writer in self._writers:
            writer.close()


def rewind(path: Path, keep) -> None:
    """Drops the lines of a JSON-lines file that ``keep`` refuses, and a last line that is torn.

    What a run wrote after the checkpoint from which it resumes will be written again.

    Args:
      path: The file; nothing happens when it is not there.
      keep: Called with each line's object.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            break
        if keep(entry):
            kept.append(line + "\n")
    beside = path.with_name(f".{path.name}.rewound")
    beside.write_text("".join(kept), encoding="utf-8")
    beside.replace(path)

"""Destinations of published metrics. Each has the methods ``write(step, metrics)`` and ``close()``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from ...foundation.atomic_files import write_text
from ...foundation.json_values import to_json_value

Metrics = Mapping[str, float | int | str]


class Writer(Protocol):
    """Receives publications."""

    def write(self, step: int, metrics: Metrics) -> None:
        """Writes one publication.

        Args:
          step: The training step.
          metrics: Numbers by metric key. Strings, such as the day's name, are allowed as well.
        """
        ...

    def close(self) -> None:
        """Flushes the publications and releases the destination."""
        ...


class JsonLinesWriter:
    """Appends one JSON object per publication to a file.

    Each line is one write without a buffer, so that a killed process leaves whole lines.

    Args:
      path: The file. Its folder is created if needed.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A buffer would write a long line in pieces.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for the whole run

    def write(self, step: int, metrics: Metrics) -> None:
        """Appends a line with ``step`` and the metrics."""
        line = json.dumps(to_json_value({"step": step} | dict(metrics))) + "\n"
        self._file.write(line.encode())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardWriter:
    """Writes the numbers as TensorBoard scalars, with the metric keys as tags.

    Args:
      path: The folder of the event files.
    """

    def __init__(self, path: Path):
        self._writer = tf.summary.create_file_writer(str(path))

    def write(self, step: int, metrics: Metrics) -> None:
        """Writes one scalar per number and skips strings."""
        with self._writer.as_default(step=step):
            for key, value in metrics.items():
                if not isinstance(value, str):
                    tf.summary.scalar(key, value)

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()


class MemoryWriter:
    """Keeps publications in memory, for tests and notebooks.

    Attributes:
      lines: The publications, each with its ``step``.

    Example:
    >>> writer = MemoryWriter()
    >>> writer.write(8, {"loss": 0.5})
    >>> writer.lines
    [{'step': 8, 'loss': 0.5}]
    """

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, step: int, metrics: Metrics) -> None:
        """Appends a copy of the metrics to :attr:`lines`."""
        self.lines.append({"step": step} | dict(metrics))

    def close(self) -> None:
        """Does nothing."""


class Writers:
    """Passes each publication to several writers.

    Args:
      writers: The writers.
    """

    def __init__(self, writers: Sequence[Writer]):
        self._writers = writers

    def write(self, step: int, metrics: Metrics) -> None:
        """Writes to each writer."""
        for writer in self._writers:
            writer.write(step, metrics)

    def close(self) -> None:
        """Closes each writer."""
        for writer in self._writers:
            writer.close()


def rewind(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Removes lines from a JSON-lines file, so that a resumed run can write them again.

    Also removes an incomplete last line, which a killed process can leave.

    Args:
      path: The file. Nothing happens if it does not exist.
      keep: Returns whether to keep a line, given its object.
    """
    if not path.exists():
        return
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            break
        if keep(entry):
            lines.append(line + "\n")
    write_text(path, "".join(lines))

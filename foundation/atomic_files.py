"""Files and folders that appear complete or not at all, even if the process is killed or the disk is full."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .json_values import to_json_value


def write_text(path: Path, text: str) -> None:
    """Replaces a text file. A reader finds the old content or the new, never a part.

    Args:
      path: The file. Its parent folders are created if needed.
      text: The new content, written as UTF-8.

    Raises:
      OSError: If the file cannot be written. The old content stays.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a JSON file; see :func:`write_text` and :func:`~.json_values.to_json_value`."""
    write_text(path, json.dumps(to_json_value(value), indent=1) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file; see :func:`write_text`."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """Makes a file that appears under its final name only when it is complete. An existing file is replaced.

    Yields the path of a temporary file next to ``final`` for the caller to write. When the block ends normally, the
    file is flushed to disk and renamed. When the block raises, the file is removed.

    Args:
      final: The file to make. Its parent folders are created if needed.

    Raises:
      OSError: If the file cannot be written.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        yield temporary
        fsync_file(temporary)
        os.replace(temporary, final)
        _fsync_folder(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(final: Path, temporary_name: str) -> Iterator[Path]:
    """Makes a folder that appears under its final name only when it is complete.

    Yields a new, empty folder next to ``final`` for the caller to fill. When the block ends normally, every file in the
    folder is flushed to disk and the folder is renamed. When the block raises, the folder is removed.

    Args:
      final: The folder to make. It must not exist yet.
      temporary_name: Name of the folder while it is being filled; :func:`remove_leftovers` finds it after a kill.

    Raises:
      OSError: If the folder cannot be written or ``final`` exists.
    """
    temporary = final.with_name(temporary_name)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for entry in temporary.rglob("*"):
            if entry.is_file():
                fsync_file(entry)
        os.rename(temporary, final)
        _fsync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Removes the folders that killed processes left behind.

    Args:
      folder: The parent folder.
      pattern: A glob that matches the ``temporary_name`` of :func:`new_folder`.
    """
    for leftover in folder.glob(pattern):
        shutil.rmtree(leftover, ignore_errors=True)


def fsync_file(path: Path) -> None:
    """Flushes a file's content to disk, so that it survives a power failure."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _fsync_folder(path: Path) -> None:
    """Flushes a folder's entries; without this, a rename may be lost in a power failure."""
    # Some file systems, such as network shares, cannot open or flush a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

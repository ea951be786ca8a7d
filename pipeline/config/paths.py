"""Checks of the paths that a command writes to, made before the command does any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .errors import UserError


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Replaces ``~`` by the home folder, because a shell leaves it as it is within ``--flag=~/path``.

    Raises:
      UserError: If the path begins with the name of an unknown user, or is an address such as ``s3://bucket``.
    """
    if "://" in os.fspath(path):
        raise UserError(f"{path}: expected a path on this machine, got an address; use a local path")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: the home folder is unknown; write the whole path") from error


def check_new_path(name: str, path: str) -> Path:
    """Checks that a command can make a file or folder.

    Args:
      name: How the user names the path, such as ``--out=schema.yaml``.
      path: The path.

    Returns:
      The path, with ``~`` replaced.

    Raises:
      UserError: If the path exists or cannot be made.
    """
    expanded = expand_home(path)
    if os.path.lexists(expanded):
        raise UserError(f"{name} already exists; remove it, or choose another path")
    _check_writable(name, expanded)
    return expanded


def check_folder(name: str, path: str | os.PathLike[str]) -> Path:
    """Checks that a command can write into a folder, which may be missing.

    Args:
      name: How the user names the folder, such as ``--model_dir=runs/demo``.
      path: The folder.

    Returns:
      The path, with ``~`` replaced.

    Raises:
      UserError: If the folder is a file or cannot be written.
    """
    expanded = expand_home(path)
    if os.path.lexists(expanded) and not os.path.isdir(expanded):
        raise UserError(f"{name} must be a folder, got a file")
    _check_writable(name, expanded)
    return expanded


def _check_writable(name: str, path: Path) -> None:
    """Raises a UserError if the path, or the nearest folder above it that exists, cannot be written."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{name} cannot be written, because the path is too long; choose a shorter one") from error
    nearest = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        raise UserError(f"{name} cannot be written, because {nearest} is a file; choose another path")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{name} cannot be written: no permission to write to {nearest}; choose another path")

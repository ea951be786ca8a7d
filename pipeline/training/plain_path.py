"""A path to a folder that TensorFlow does not misread as a pattern."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path

_PATTERN_CHARACTERS = re.compile(r"[\[\\]")


def has_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether TensorFlow reads a path as a pattern that does not match the path itself.

    Example:
    >>> has_pattern("runs/lr=[0.1,0.2]"), has_pattern("runs/lr=0.1")
    (True, False)
    """
    return _PATTERN_CHARACTERS.search(os.path.abspath(path)) is not None


def describe_unloadable(path: Path) -> str:
    """Returns a sentence if TensorFlow cannot load a model from a path, else nothing."""
    if not has_pattern(path):
        return ""
    return f"TensorFlow cannot load a model from a path with '[' or '\\'; copy {path} to another folder to serve it."


def make_plain_path(folder: Path, owner: object) -> Path:
    """Returns a path to a folder whose characters TensorFlow reads literally.

    TensorFlow writes a checkpoint to a path as it is, but reads it through a pattern. A folder such as
    ``lr=[0.1,0.2]`` therefore gets a symbolic link in the folder of temporary files.

    Args:
      folder: The folder. It may be missing.
      owner: The link is removed when this object is.
    """
    if not has_pattern(folder):
        return folder
    temporary = tempfile.mkdtemp(prefix="steadyrank-")
    weakref.finalize(owner, shutil.rmtree, temporary, ignore_errors=True)
    link = Path(temporary, "folder")
    link.symlink_to(folder.absolute())
    return link

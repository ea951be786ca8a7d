"""Lists the files of a local folder, each real file once, through symbolic links."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ....foundation.formatting import first_line
from ...config.errors import UserError


class Tree(NamedTuple):
    """What is below a folder.

    Attributes:
      files: Paths of the files.
      folders: Paths of the folders.
      broken_links: Paths of the symbolic links that point to nothing.
    """

    files: list[str]
    folders: list[str]
    broken_links: list[str]


def list_tree(root: str, is_hidden: Callable[[str], bool]) -> Tree:
    """Lists the files and folders below a folder, without hidden ones.

    Links are followed, but each real file and each real folder appears once, under its own path if that is below
    ``root``. A loop of links therefore ends, and a link such as ``latest`` does not repeat the rows of a day.

    Args:
      root: The folder.
      is_hidden: Whether to leave out a file or folder of this name, with everything below it.

    Raises:
      UserError: If a folder cannot be read.
    """
    files: dict[str, str] = {}
    folders: list[str] = []
    broken_links: list[str] = []
    # Real entries come first, so that a link to one of them adds nothing.
    queue, links, seen = deque([root]), deque[str](), {os.path.realpath(root)}
    while queue or links:
        if not queue:
            link = links.popleft()
            target = os.path.realpath(link)
            if not os.path.exists(link):
                broken_links.append(link)
            elif not os.path.isdir(link):
                files.setdefault(target, link)
            elif target not in seen and not _contains(target, root):
                seen.add(target)
                folders.append(link)
                queue.append(link)
            continue
        folder = queue.popleft()
        for entry in _scan(folder):
            if is_hidden(entry.name):
                continue
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    folders.append(entry.path)
                    queue.append(entry.path)
            else:
                files.setdefault(os.path.realpath(entry.path), entry.path)
    return Tree(list(files.values()), folders, broken_links)


def _contains(folder: str, path: str) -> bool:
    path = os.path.realpath(path)
    return os.path.commonpath([folder, path]) == folder


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {first_line(error)}; check the permissions") from error

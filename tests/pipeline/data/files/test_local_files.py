from __future__ import annotations

import os
from pathlib import Path

from steadyrank.pipeline.data.files.local_files import list_tree


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def list_names(root: Path) -> tuple[list[str], list[str]]:
    tree = list_tree(str(root), lambda name: name.startswith("."))
    return tuple(sorted(os.path.relpath(path, root) for path in paths) for paths in (tree.files, tree.folders))


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "a/x", ".b/x", "a/.y")
    assert list_names(tmp_path) == (["a/x"], ["a"])


def test_each_file_appears_once_though_links_make_a_loop(tmp_path):
    root = tmp_path / "log"
    touch(root, "day=1/x", "day=2/x")
    (root / "day=1" / "up").symlink_to(root)
    (root / "day=2" / "here").symlink_to(".")
    (root / "day=2" / "out").symlink_to(tmp_path)
    (root / "latest").symlink_to("day=2")
    (root / "a").symlink_to("day=2/x")
    assert list_names(root) == (["day=1/x", "day=2/x"], ["day=1", "day=2"])


def test_links_to_other_places_are_followed_once(tmp_path):
    touch(tmp_path, "elsewhere/deep/x", "single/y")
    root = tmp_path / "log"
    touch(root, "day=1/x")
    (root / "day=2").symlink_to(tmp_path / "elsewhere")
    (root / "day=1" / "y").symlink_to(tmp_path / "single" / "y")
    files, folders = list_names(root)
    assert files == ["day=1/x", "day=1/y", "day=2/deep/x"]
    assert folders == ["day=1", "day=2", "day=2/deep"]


def test_broken_links_are_listed(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "self").symlink_to("self")
    assert sorted(map(os.path.basename, list_tree(str(tmp_path), lambda name: False).broken_links)) == ["gone", "self"]

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.paths import check_folder, check_new_path, expand_home


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "broken").symlink_to("gone")
    return tmp_path / "home"


def test_the_home_folder_is_expanded(home):
    assert expand_home("~/x y") == home / "x y"
    assert expand_home("a/~") == Path("a/~")
    with pytest.raises(UserError, match="~nobody-of-this-name/x: the home folder is unknown"):
        expand_home("~nobody-of-this-name/x")


@pytest.mark.parametrize("path", ["~/new", "new", "new/deep/ünï [1]", "folder/new", "link/new"])
def test_new_paths_are_accepted_and_not_made(path):
    assert check_new_path("--out", path) == Path(os.path.expanduser(path))
    assert not os.path.exists(os.path.expanduser(path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "--out already exists; remove it, or choose another path"),
        ("folder", "--out already exists"),
        ("broken", "--out already exists"),
        ("~", "--out already exists"),
        ("file/new", "--out cannot be written, because .*file is a file"),
    ],
)
def test_other_paths_are_refused(path, message):
    with pytest.raises(UserError, match=message):
        check_new_path("--out", path)


@pytest.mark.parametrize("path", ["folder", "link", "new/deep", "~", "."])
def test_folders_may_exist(path):
    assert check_folder("--model_dir", path) == Path(os.path.expanduser(path))


@pytest.mark.parametrize("path", ["file", "broken"])
def test_a_file_is_no_folder(path):
    with pytest.raises(UserError, match="--model_dir must be a folder, got a file"):
        check_folder("--model_dir", path)


@pytest.mark.parametrize("path", ["folder", "folder/new/deep"])
def test_a_folder_without_permission_is_refused(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, mode: not str(folder).endswith("folder"))
    with pytest.raises(UserError, match=r"--model_dir cannot be written: no permission to write to .*folder;"):
        check_folder("--model_dir", path)


@pytest.mark.parametrize("check", [check_folder, check_new_path])
@pytest.mark.parametrize("path", ["x" * 300, "x" * 300 + "/y", "folder/" + "deep/" * 900])
def test_a_path_that_is_too_long_is_refused(check, path):
    with pytest.raises(UserError, match=r"^--out cannot be written, because the path is too long; choose a shorter"):
        check("--out", path)


@pytest.mark.parametrize("path", ["s3://bucket/run", "gs://bucket/run"])
def test_an_address_is_no_path_to_write_to(path):
    with pytest.raises(UserError, match=rf"^{path}: expected a path on this machine, got an address; use a local path"):
        check_folder("--model_dir", path)
    assert not os.path.exists(path.partition("/")[0])

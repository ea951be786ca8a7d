"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import json
import os

import pytest

from steadyrank.foundation.atomic_files import (
    new_file,
    new_folder,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)


class TestNewFile:
    def test_the_file_appears_when_the_block_ends(self, tmp_path):
        path = tmp_path / "folder" / "a.txt"
        with new_file(path) as temporary:
            temporary.write_text("new")
            assert not path.exists()
            assert temporary.parent == path.parent
        assert path.read_text() == "new"
        assert os.listdir(path.parent) == ["a.txt"]

    def test_a_failure_keeps_the_old_content_and_no_temporary_file(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("old")

        def fail_halfway() -> None:
            with new_file(path) as temporary:
                temporary.write_text("new")
                raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            fail_halfway()
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_bytes_replace_the_old_content(self, tmp_path):
        write_bytes(tmp_path / "a", b"old")
        write_bytes(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"


class TestNewFolder:
    def test_the_folder_appears_when_the_block_ends(self, tmp_path):
        with new_folder(tmp_path / "final", ".final.1") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "a").write_text("content")
            assert not (tmp_path / "final").exists()
        assert (tmp_path / "final" / "deep" / "a").read_text() == "content"
        assert os.listdir(tmp_path) == ["final"]

    def test_a_failure_leaves_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="broken"), new_folder(tmp_path / "final", ".final.1"):
            raise ValueError("broken")
        assert not os.listdir(tmp_path)

    def test_the_folders_of_killed_processes_are_removed(self, tmp_path):
        (tmp_path / ".final.1").mkdir()
        (tmp_path / "other").mkdir()
        remove_leftovers(tmp_path, ".final.*")
        assert os.listdir(tmp_path) == ["other"]


class TestText:
    def test_text_is_utf_8_and_json_has_no_bare_nan(self, tmp_path):
        write_text(tmp_path / "new" / "a.txt", "é\n")
        assert (tmp_path / "new" / "a.txt").read_bytes() == "é\n".encode()
        write_json(tmp_path / "a.json", {"loss": float("nan"), "step": 3})
        assert json.loads((tmp_path / "a.json").read_text()) == {"loss": "NaN", "step": 3}

    def test_a_value_that_json_cannot_express_keeps_the_old_file(self, tmp_path):
        write_json(tmp_path / "a.json", {"step": 3})
        with pytest.raises(TypeError):
            write_json(tmp_path / "a.json", {"step": object()})
        assert json.loads((tmp_path / "a.json").read_text()) == {"step": 3}


def test_a_new_folder_does_not_replace_an_existing_one(tmp_path):
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "a").write_text("old")
    with pytest.raises(OSError, match="final"), new_folder(tmp_path / "final", ".final.1") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "final" / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.parametrize("write", ["new_file", "new_folder"])
def test_the_content_is_flushed_to_disk_before_the_rename(tmp_path, monkeypatch, write):
    calls = []
    for name in ("fsync", "replace", "rename"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, _f=function, _n=name: (calls.append(_n), _f(*args))[1])
    if write == "new_file":
        write_bytes(tmp_path / "a", b"content")
    else:
        with new_folder(tmp_path / "final", ".final.1") as temporary:
            (temporary / "a").write_text("content")
    assert calls == ["fsync", "replace" if write == "new_file" else "rename", "fsync"]

from __future__ import annotations

import os

import pytest

from steadyrank.foundation.atomic_files import new_file, new_folder, remove_leftovers, write_bytes


class TestNewFile:
    def test_the_file_appears_when_the_block_ends(self, tmp_path):
        path = tmp_path / "folder" / "a.txt"
        with new_file(path) as temporary:
            temporary.write_text("new")
            assert not path.exists()
            assert temporary.parent == path.parent
        assert path.read_text() == "new"
        assert os.listdir(path.parent) == ["a.txt"]

    def test_a_failure_keeps_the_old_content_and_leaves_nothing_else(self, tmp_path):
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

from __future__ import annotations

from pathlib import Path

from steadyrank.pipeline.training.plain_path import describe_unloadable, has_pattern, make_plain_path


class Owner:
    pass


def test_a_path_without_a_pattern_stays(tmp_path):
    assert make_plain_path(tmp_path / "a b", Owner()) == tmp_path / "a b"
    assert describe_unloadable(tmp_path / "a b") == ""


def test_a_path_with_a_pattern_gets_a_link_that_its_owner_keeps(tmp_path):
    owner = Owner()
    folder = tmp_path / "[a]"
    plain = make_plain_path(folder, owner)
    assert not has_pattern(plain)
    folder.mkdir()
    (plain / "x").touch()
    assert [path.name for path in folder.iterdir()] == ["x"]
    del owner
    assert not plain.is_symlink()
    assert (folder / "x").exists()


def test_a_model_that_tensorflow_cannot_load_is_described():
    assert describe_unloadable(Path("/runs/[a]/1")).endswith("copy /runs/[a]/1 to another folder to serve it.")

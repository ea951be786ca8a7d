from __future__ import annotations

import pytest
from absl import logging

from steadyrank.pipeline.data.tfds.folder import format_prepare_command, resolve_data_dir, silence_tfds, summarize_error


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (ValueError("no such shard\nat line 3"), "ValueError: no such shard"),
        (ValueError("{{function_node __wrapped__Read}} no such shard [Op:Read] name: "), "ValueError: no such shard"),
        (OSError(), "OSError"),
        (ValueError("x" * 1000), f"ValueError: {'x' * 160}"),
    ],
    ids=["lines", "node", "empty", "long"],
)
def test_an_error_becomes_one_short_line(error, summary):
    assert summarize_error(error) == summary


def test_tfds_is_silenced_and_its_errors_pass_through(capsys):
    verbosity = logging.get_verbosity()

    def fail_noisily() -> None:
        with silence_tfds():
            assert logging.get_verbosity() == logging.ERROR
            print("noise")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_noisily()
    assert logging.get_verbosity() == verbosity
    assert capsys.readouterr() == ("", "")


def test_the_data_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(resolve_data_dir("~/data")) == "/home/me/data"


def test_the_prepare_command_names_dataset_and_folder():
    command = format_prepare_command("movielens/1m-ratings", "DIR")
    assert command.startswith("python -c ")
    assert "tfds.builder('movielens/1m-ratings', data_dir='DIR').download_and_prepare()" in command

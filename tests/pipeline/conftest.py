"""Fixtures that run the training command as a process, on a small log."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.pipeline.commands import SMALL_RUN, train_command

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Returns a function that trains to the end, in a working folder outside the repository."""
    working_folder = tmp_path_factory.mktemp("working_folder")

    def run(model_dir: Path, *flags: str, small: Sequence[str] = SMALL_RUN) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            train_command(model_dir, *flags, small=small),
            capture_output=True,
            text=True,
            cwd=working_folder,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    """Returns a function that starts training and returns the running process."""
    working_folder = tmp_path_factory.mktemp("working_folder")

    def start_training(model_dir: Path, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            train_command(model_dir, *flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=working_folder,
        )

    return start_training


@pytest.fixture(scope="session")
def finished(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model_dir of a healthy small run. Tests must not change it."""
    model_dir = tmp_path_factory.mktemp("runs") / "finished"
    result = train(model_dir)
    assert result.returncode == 0, result.stderr
    return model_dir

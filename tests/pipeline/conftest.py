"""Runs the training command as a process, small."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.pipeline.commands import SMALL_RUN, train_command

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs the command to its end, from a folder that is not the repository."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(model_dir: Path, *flags: str, small: Sequence[str] = SMALL_RUN) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            train_command(model_dir, *flags, small=small), capture_output=True, text=True, cwd=elsewhere, check=False
        )

    return run


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command and returns the running process."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def begin(model_dir: Path, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            train_command(model_dir, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=elsewhere
        )

    return begin


@pytest.fixture(scope="session")
def finished(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model_dir of a healthy small run; tests read it and leave it as it is."""
    model_dir = tmp_path_factory.mktemp("runs") / "finished"
    ran = train(model_dir)
    assert ran.returncode == 0, ran.stderr
    return model_dir

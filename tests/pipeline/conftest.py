"""Runs the training command as a process, small."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

SMALL = (
    "--config=demo",
    "--config.data.simulated.days=3",
    "--config.data.simulated.rows_per_day=8192",
    "--config.data.simulated.users=500",
    "--config.data.simulated.videos=200",
    "--config.data.batch_size=256",
    "--config.data.statistics_rows=4096",
    "--config.model.shared_units=64,32",
    "--config.model.tower_units=16",
    "--config.optimizer.warmup_steps=10",
    "--config.training.steps_per_execution=4",
    "--config.training.publish_every_steps=8",
    "--config.training.checkpoint_every_steps=8",
)
Train = Callable[..., subprocess.CompletedProcess[str]]


def command(model_dir: Path, *flags: str, small: Sequence[str] = SMALL) -> list[str]:
    return [sys.executable, "-m", "steadyrank.pipeline.train", *small, f"--model_dir={model_dir}", *flags]


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs the command to its end, from a folder that is not the repository."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(model_dir: Path, *flags: str, small: Sequence[str] = SMALL) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(model_dir, *flags, small=small), capture_output=True, text=True, cwd=elsewhere, check=False
        )

    return run


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command and returns the running process."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def begin(model_dir: Path, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(model_dir, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=elsewhere
        )

    return begin


@pytest.fixture(scope="session")
def finished(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model_dir of a healthy small run; tests read it and leave it as it is."""
    model_dir = tmp_path_factory.mktemp("runs") / "finished"
    ran = train(model_dir)
    assert ran.returncode == 0, ran.stderr
    return model_dir

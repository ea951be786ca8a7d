"""Runs steadyrank's commands as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SMALL_RUN = (
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


def run_command(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m steadyrank.pipeline.NAME FLAGS`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"steadyrank.pipeline.{name}", *flags], capture_output=True, text=True, check=False
    )


def train_command(model_dir: Path, *flags: str, small: Sequence[str] = SMALL_RUN) -> list[str]:
    """Returns the command line that trains a small run in ``model_dir``."""
    return [sys.executable, "-m", "steadyrank.pipeline.train", *small, f"--model_dir={model_dir}", *flags]

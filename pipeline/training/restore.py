"""Restores the ranker of a run from its folder."""

from __future__ import annotations

import sys

import numpy as np

from ...models.ranker import MultitaskRanker
from ...models.schema import Schema
from ...models.statistics import Statistics
from ..config import Config, UserError, read
from .build import make_ranker
from .checkpoints import Checkpoints
from .run_directory import RunDirectory


def restore_ranker(run: RunDirectory) -> tuple[MultitaskRanker, int]:
    """Restores the newest checkpoint of a run.

    Prints a line on stderr for each newer checkpoint that cannot be read.

    Returns:
      The compiled ranker and its training step.

    Raises:
      UserError: If the folder holds no run, or the run has no checkpoint that can be read.
    """
    ranker = make_untrained_ranker(run.read_config(), read(Schema, run.schema_file))
    step = Checkpoints(run.checkpoints, ranker).resume(lambda line: print(line, file=sys.stderr))
    if not step:
        raise UserError(f"--model_dir={run.path} holds no checkpoint yet; train first")
    return ranker, step


def make_untrained_ranker(config: Config, schema: Schema) -> MultitaskRanker:
    """Makes a compiled ranker, ready to restore its weights from a checkpoint or a bundle."""
    # Means and deviations are weights, so restoring overwrites these placeholders.
    numerical = [f for f in schema.features if f.kind == "numerical" and f.normalization != "none"]
    ones = {feature.name: np.ones(feature.width, np.float32) for feature in numerical}
    # The number of steps affects only the learning rate, which only training uses.
    return make_ranker(config, schema, Statistics(mean=ones, deviation=ones), total_steps=1)

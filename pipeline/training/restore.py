"""A ranker as a run left it, from the run's folder alone."""

from __future__ import annotations

import json
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
    """The ranker of the newest checkpoint, compiled, and its step.

    Raises:
      UserError: When the folder holds no run, or the run no checkpoint that can be read.
    """
    ranker = make_untrained_ranker(run.read_config(), read(Schema, run.schema_file))
    step = Checkpoints(run.checkpoints, ranker).resume(lambda line: print(line, file=sys.stderr))
    if not step:
        raise UserError(f"--model_dir={run.path} holds no checkpoint yet; train first")
    return ranker, step


def make_untrained_ranker(config: Config, schema: Schema) -> MultitaskRanker:
    """A compiled ranker that waits for its weights."""
    # Means and deviations are weights: those that are put into it are the learned ones.
    numerical = [f for f in schema.features if f.kind == "numerical" and f.normalization != "none"]
    ones = {feature.name: np.ones(feature.width, np.float32) for feature in numerical}
    # To be looked at, not to be trained: how long a run it was makes no difference.
    return make_ranker(config, schema, Statistics(mean=ones, deviation=ones), total_steps=1)


def read_verdict(run: RunDirectory) -> str:
    """The verdict on the run: that of divergence.json, or ``healthy`` while there is none."""
    if not run.divergence_file.exists():
        return "healthy"
    return json.loads(run.divergence_file.read_text(encoding="utf-8"))["verdict"]

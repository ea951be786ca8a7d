"""A small log in memory, a small ranker, and the real components of a run."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.models.statistics import Statistics
from steadyrank.pipeline.config import Config
from steadyrank.pipeline.data import Columns, Source
from steadyrank.pipeline.data.batching import WaitClock
from steadyrank.pipeline.data.source import RowFaultCounts
from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.training.build import make_ranker
from steadyrank.pipeline.training.checkpoints import Checkpoints
from steadyrank.pipeline.training.loop import TrainingLoop
from steadyrank.pipeline.training.progress import TrainingProgress
from steadyrank.pipeline.training.publisher import Publisher
from steadyrank.pipeline.training.run_state import RunState
from steadyrank.pipeline.training.writers import MemoryWriter

SCHEMA = Schema((Feature("x", "numerical", normalization="none"),), (Task("click", "binary"),))
BATCH_SIZE = 8


class MemoryLog(Source):
    """Days of random rows with a label that depends on the feature.

    Args:
      rows: Number of rows of each day.
      poison_day: A day whose feature is infinite in every row.
    """

    schema = SCHEMA

    def __init__(self, rows: Sequence[int] = (64, 64, 64), poison_day: int | None = None):
        self._rows = rows
        self._poison_day = poison_day

    @property
    def days(self) -> list[str]:
        return [f"day_{i}" for i in range(len(self._rows))]

    def block_rows(self, day: int) -> list[int]:
        return [self._rows[day]]

    def block(self, day: int, index: int) -> Columns:
        random = np.random.default_rng(day)
        x = random.normal(size=self._rows[day]).astype(np.float32)
        click = (x + random.normal(size=len(x)) > 0).astype(np.float32)
        return {"x": np.full_like(x, np.inf) if day == self._poison_day else x, "click": click}


class FaultyLog(MemoryLog):
    """A log whose count of skipped rows grows by two with each access."""

    validates_rows = True
    access_count = 0

    @property
    def row_faults(self) -> RowFaultCounts:
        self.access_count += 1
        return RowFaultCounts(skipped_rows=2 * self.access_count)


def make_config(max_skipped_steps: int = 20, **training: Any) -> Config:
    """Returns a configuration for :class:`MemoryLog` with some settings of ``training`` replaced."""
    config = Config()
    settings = {"steps_per_execution": 1, "publish_every_steps": 3, "checkpoint_every_steps": 4} | training
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, batch_size=BATCH_SIZE),
        model=dataclasses.replace(config.model, shared_units=(4,), tower_units=()),
        optimizer=dataclasses.replace(
            config.optimizer, warmup_steps=0, learning_rate=0.1, max_skipped_steps=max_skipped_steps
        ),
        training=dataclasses.replace(config.training, **settings),
    )


class SmallRun:
    """The components of a run on :class:`MemoryLog`. ``loop()`` connects them as the job does.

    Args:
      path: Folder of the checkpoints.
      config: The configuration.
      source: The log.
      monitor: The monitor.
    """

    def __init__(
        self,
        path: Path,
        config: Config | None = None,
        source: Source | None = None,
        monitor: DivergenceMonitor | None = None,
    ):
        tf_keras.utils.set_random_seed(0)
        self.config = config or make_config()
        self.source = source or MemoryLog()
        self.ranker: MultitaskRanker = make_ranker(self.config, SCHEMA, Statistics({}, {}), total_steps=24)
        self.monitor = monitor or DivergenceMonitor()
        self.checkpoints = Checkpoints(path, self.ranker)
        self.checkpoints.attach_monitor(self.monitor)
        self.state = RunState()
        self.clock = WaitClock()
        self.publications, self.evaluations = MemoryWriter(), MemoryWriter()
        self.terminal = io.StringIO()

    def publisher(self) -> Publisher:
        progress = TrainingProgress(24, BATCH_SIZE, self.terminal)
        return Publisher(self.config, self.source, self.state, self.monitor, self.clock, self.publications, progress)

    def loop(self) -> TrainingLoop:
        return TrainingLoop(
            self.config,
            self.source,
            self.ranker,
            self.state,
            self.monitor,
            self.checkpoints,
            self.clock,
            self.evaluations,
        )

    def train(self, *callbacks: tf_keras.callbacks.Callback) -> dict[str, float]:
        """Trains to the end of the log with these callbacks after the publisher."""
        return self.loop().run([self.publisher(), *callbacks])

    def weights(self) -> list[np.ndarray]:
        return self.ranker.get_weights()

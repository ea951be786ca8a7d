"""The settings of one run."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..fields import setting


@dataclasses.dataclass(frozen=True)
class Training:
    """One run.

    Attributes:
      seed: Seed of the initial weights and of the order of the rows.
      strategy: ``one_device``, or ``mirrored`` for several devices of one machine.
      replicas: Number of devices of the mirrored strategy; 0 for all. A machine without accelerators splits its CPU
        into this many logical devices.
      steps_per_execution: Training steps per call of the compiled function.
      publish_every_steps: Steps between two lines of metrics; a multiple of ``steps_per_execution``.
      checkpoint_every_steps: Steps between two checkpoints within a day; a multiple of ``steps_per_execution``. The run
        also writes a checkpoint at the end of each day.
      evaluation_rows: Largest number of a day's rows on which the model is evaluated before it trains on that day; 0
        for all.
      sharpness_every_steps: Steps between two measurements of the loss's sharpness and of the conflict between the
        tasks' gradients; 0 for none.
      sharpness_rows: Number of rows of the batch on which they are measured.
      on_divergence: What to do when the run fully diverges. ``stop`` ends it. ``rollback`` restores the newest healthy
        checkpoint and continues from the next batch with a smaller learning rate. ``observe`` only records it.
      max_rollbacks: Largest number of rollbacks in a run, including those before a restart.
      rollback_learning_rate_factor: Factor by which each rollback multiplies the learning rate.
      rollback_warmup_steps: Number of steps over which the learning rate rises again after a rollback.
    """

    seed: int = setting(0, minimum=0)
    strategy: Literal["one_device", "mirrored"] = "one_device"
    replicas: int = setting(0, minimum=0)
    steps_per_execution: int = setting(16, minimum=1)
    publish_every_steps: int = setting(32, minimum=1)
    checkpoint_every_steps: int = setting(1024, minimum=1)
    evaluation_rows: int = setting(0, minimum=0)
    sharpness_every_steps: int = setting(0, minimum=0)
    sharpness_rows: int = setting(256, minimum=1)
    on_divergence: Literal["stop", "rollback", "observe"] = "stop"
    max_rollbacks: int = setting(3, minimum=0)
    rollback_learning_rate_factor: float = setting(0.5, above=0, maximum=1)
    rollback_warmup_steps: int = setting(100, minimum=0)

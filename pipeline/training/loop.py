"""Sequential training: each day is evaluated before it is trained on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from ...models.ranker import MultitaskRanker
from ...optimizers import skipped_too_often
from ..config.settings import Config
from ..data.batching import WaitClock, WindowService, make_training_batches
from ..data.source import Source
from ..divergence import DivergenceMonitor
from .checkpoint_callback import CheckpointCallback
from .checkpoints import Checkpoints
from .curvature import CurvatureCallback
from .distribution import distribute_batches
from .evaluation import average_over_rows, evaluate_day
from .preemption import PreemptionSignal
from .run_state import RunState
from .schedule import Segment, TrainingSchedule
from .writers import Writer


@dataclasses.dataclass
class TrainingLoop:
    """Trains a compiled ranker from the run's current position to the end of the log.

    Attributes:
      config: The configuration.
      source: The log.
      ranker: The compiled ranker.
      state: The run's position, where the loop starts. The publisher and the loop advance it.
      monitor: Detects divergence. Depending on its settings, it also stops training or rolls back.
      checkpoints: Saves the run.
      clock: Measures how long training waits for its input.
      evaluation_writer: Receives the metrics of each evaluation.
      service: Reads the log on other machines. If None, this process reads the log.
    """

    config: Config
    source: Source
    ranker: MultitaskRanker
    state: RunState
    monitor: DivergenceMonitor
    checkpoints: Checkpoints
    clock: WaitClock
    evaluation_writer: Writer
    service: WindowService | None = None

    def __post_init__(self) -> None:
        self._schedule = TrainingSchedule(self.config, self.source)
        self._preemption = PreemptionSignal()
        self._curvature = CurvatureCallback(self.config.training.sharpness_every_steps, self.monitor)
        self._callbacks: list[tf_keras.callbacks.Callback] = []

    def run(self, callbacks: Sequence[tf_keras.callbacks.Callback]) -> dict[str, float]:
        """Trains, then evaluates the held-out days.

        Args:
          callbacks: Callbacks to call in this order, after the monitor and before the callback that saves checkpoints.
            One of them must be a :class:`.publisher.Publisher`, which advances ``state``.

        Returns:
          The metrics on the held-out days, averaged over their rows. Empty if no day is held out or if training stopped
          early.

        Raises:
          Preempted: If the process received SIGTERM. The run is saved by then.
        """
        saver = CheckpointCallback(
            self.config.training.checkpoint_every_steps, self.checkpoints, self.state, self.monitor, self._preemption
        )
        # The publisher reads the measurements of the monitor and the curvature. A checkpoint stores the state of all
        # three.
        self._callbacks = [self.monitor, self._curvature, *callbacks, saver]
        with self._preemption:
            # Recomputed each time, because training resumes in the middle of a segment after a failed step.
            while segment := next(self._schedule.remaining_segments(self.state.step), None):
                if not self._train_segment(segment):
                    return {}
            return average_over_rows([self._evaluate(day, "holdout") for day in self._schedule.holdout_days])

    def _train_segment(self, segment: Segment) -> bool:
        """Trains on one segment; returns whether training continues."""
        self.state.begin_day(self.source.days[segment.day], segment.first_batch)
        if segment.pass_index == segment.first_batch == 0:
            self._evaluate(segment.day, "progressive")
        data, training = self.config.data, self.config.training
        batches = functools.partial(
            make_training_batches,
            self.source,
            segment.day,
            batch_size=data.batch_size,
            seed=training.seed,
            pass_index=segment.pass_index,
            shuffle=data.shuffle,
            shuffle_rows=data.shuffle_rows,
            start=segment.first_batch,
            service=self.service,
        )
        if training.sharpness_every_steps:
            rows = make_training_batches(self.source, segment.day, batch_size=training.sharpness_rows, seed=0)
            self._curvature.begin_day(next(iter(rows)))
        dataset = distribute_batches(self.ranker.distribute_strategy, batches, self.clock)
        try:
            self.ranker.fit(dataset, steps_per_epoch=segment.steps, verbose=0, callbacks=self._callbacks)
        except tf.errors.InvalidArgumentError as error:
            evidence = skipped_too_often(error)
            if not evidence:
                raise
            return self._recover(evidence)
        self.checkpoints.save(self.state.step)
        self._preemption.raise_if_requested()
        return not self.ranker.stop_training

    def _recover(self, evidence: str) -> bool:
        """Handles too many steps with non-finite gradients: rolls back if allowed.

        Returns whether training continues.
        """
        # A failed execution of several steps counts none of them, so the exact step is unknown.
        self.state.step = max(self.state.step + 1, int(self.ranker.optimizer.iterations))
        self.monitor.step = self.state.step
        if self.config.training.on_divergence == "rollback" and self.monitor.roll_back():
            return True
        self.monitor.record_nonfinite(self.state.step, evidence)
        return False

    def _evaluate(self, day: int, kind: str) -> dict[str, float]:
        metrics = evaluate_day(self.config, self.source, self.ranker, day, self.service)
        self.evaluation_writer.write(self.state.step, {"day": self.source.days[day], "kind": kind, **metrics})
        return metrics

"""Sequential training: day by day, each day evaluated before it is trained on."""

from __future__ import annotations

import contextlib
import functools
import signal
from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from ...models.ranker import MultitaskRanker
from ...optimizers import skipped_too_often
from ..config.settings import Config
from ..data.batching import WaitClock, WindowService, make_training_batches
from ..data.source import Source
from ..divergence import DivergenceMonitor
from .checkpoints import Checkpoints
from .curvature import Curvature
from .distribution import distribute_batches
from .evaluation import average_over_rows, evaluate_day
from .publisher import Publisher
from .schedule import TrainingSchedule
from .writers import Writer


class Preempted(Exception):
    """SIGTERM came; everything is saved."""


def train(
    config: Config,
    source: Source,
    ranker: MultitaskRanker,
    *,
    checkpoints: Checkpoints,
    publisher: Publisher,
    monitor: DivergenceMonitor,
    clock: WaitClock,
    evaluation_writer: Writer,
    service: WindowService | None = None,
) -> dict[str, float]:
    """Trains a compiled ranker from where the publisher's ``step`` stands to the end of the log.

    Args:
      config: The configuration.
      source: The log.
      ranker: The ranker.
      checkpoints: Where the run is saved.
      publisher: Publishes the training metrics; knows the step.
      monitor: Sees divergence; when it stops the training, the rest of the log is left out.
      clock: Watches the input.
      evaluation_writer: Takes the evaluations.
      service: What reads the log. None: this process.

    Returns:
      The held-out days' metrics, averaged over their rows; empty when no day was held out or training was stopped.

    Raises:
      Preempted: After SIGTERM, once everything is saved.
    """
    schedule = TrainingSchedule(config, source)
    keeper = _Keeper(config.training.checkpoint_every_steps, checkpoints, publisher, monitor)
    curvature = Curvature(config.training.sharpness_every_steps, monitor)

    def evaluate(day: int, kind: str) -> dict[str, float]:
        metrics = evaluate_day(config, source, ranker, day, service)
        evaluation_writer.write(publisher.step, {"day": source.days[day], "kind": kind} | metrics)
        return metrics

    with _handling_sigterm(keeper.preempt):
        # After a rollback the run goes on behind the steps that could not be taken.
        while legs := list(schedule.remaining_legs(publisher.step)):
            for day, index, start, steps in legs:
                publisher.begin_day(source.days[day], start)
                if index == start == 0:
                    evaluate(day, "progressive")
                batches = functools.partial(
                    make_training_batches,
                    source,
                    day,
                    batch_size=config.data.batch_size,
                    seed=config.training.seed,
                    pass_index=index,
                    shuffle=config.data.shuffle,
                    shuffle_rows=config.data.shuffle_rows,
                    start=start,
                    service=service,
                )
                if config.training.sharpness_every_steps:
                    first = next(
                        iter(make_training_batches(source, day, batch_size=config.training.sharpness_rows, seed=0))
                    )
                    curvature.begin_day(first)
                fed = distribute_batches(ranker.distribute_strategy, batches, clock)
                try:
                    ranker.fit(fed, steps_per_epoch=steps, verbose=0, callbacks=[monitor, curvature, publisher, keeper])
                except tf.errors.InvalidArgumentError as error:
                    evidence = skipped_too_often(error)
                    if not evidence:
                        raise
                    # The step that failed stands somewhere in an execution of several.
                    publisher.step = monitor.step = max(publisher.step + 1, int(ranker.optimizer.iterations))
                    if config.training.on_divergence == "rollback" and monitor.roll_back():
                        break
                    monitor.record_nonfinite(publisher.step, evidence)
                    return {}
                checkpoints.save(publisher.step)
                keeper.raise_if_preempted()
                if ranker.stop_training:
                    return {}
        return average_over_rows([evaluate(day, "holdout") for day in schedule.holdout_days])


class _Keeper(tf_keras.callbacks.Callback):
    """Saves every so many steps and after a rollback, and once more on SIGTERM, after which it ends the training."""

    def __init__(self, every: int, checkpoints: Checkpoints, publisher: Publisher, monitor: DivergenceMonitor):
        super().__init__()
        self._every = every
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._monitor = monitor
        self._rollbacks = monitor.rollback_count
        self._saved = publisher.step
        self._preempted = False

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if batch + 1 == self.params["steps"]:
            # The end of the day is published first, and saved then.
            return
        # A rollback is saved at once: it must not be forgotten.
        rolled_back = self._monitor.rollback_count != self._rollbacks
        if self._preempted or rolled_back or self._publisher.step - self._saved >= self._every:
            self._rollbacks = self._monitor.rollback_count
            self._saved = self._publisher.step
            self._checkpoints.save(self._publisher.step)
        if self._preempted:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        # The loop saves what is there now.
        self._rollbacks, self._saved = self._monitor.rollback_count, self._publisher.step

    def raise_if_preempted(self) -> None:
        if self._preempted:
            raise Preempted

    def preempt(self, signum: int, frame: object) -> None:
        self._preempted = True


@contextlib.contextmanager
def _handling_sigterm(handler):
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

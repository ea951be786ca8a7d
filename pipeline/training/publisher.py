"""The Keras callback that publishes what the training step has measured.

| key | what | when |
|---|---|---|
| ``loss``, ``regularization_loss`` | mean over the rows since the last publication | every publication |
| ``loss/<task>``, ``prediction_mean/<task>``, ``label_mean/<task>``, ``examples/<task>`` | likewise | when a row had a label |
| ``auc/<task>`` | likewise | when both classes were there |
| ``rmse/<task>``, ``rmse_of_mean/<task>`` | likewise | when a row had a label |
| ``learning_rate`` | of the last step | every publication |
| ``clipping_factor/<layer>`` | smallest since the last publication, over the layer's variables | of a layer that a rule holds for |
| ``clipped_steps/<layer>`` | steps with a factor below 1 since then, the most of its variables | likewise |
| ``norm/gradient/<layer>``, ``norm/update/<layer>`` | largest norm since then, over the layer's variables together | when the optimizer explains |
| ``norm/parameter/<layer>`` | norm of the layer's weights, before the last step | likewise |
| ``nonfinite_steps`` | steps skipped since then because a gradient was not finite | every publication |
| ``skipped_examples`` | faulty rows of the log that were met since then, and train nothing | of a log of one's own |
| ``examples_per_second``, ``input_wait_fraction`` | over the time since then that went into training | every publication |
| ``day`` | name of the day that is trained on | every publication |
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from ..data.batching import WaitClock
from ..divergence import DivergenceMonitor
from ..divergence.keras_compat import unwrap_optimizer
from .progress import Progress
from .writers import Writer


class Publisher(tf_keras.callbacks.Callback):
    """Every so many steps: reads the metrics, writes them, shows them to the monitor, and starts a new window.

    Publications stand at fixed places of a day, so that a resumed run publishes where an undisturbed one does.

    Args:
      every: Steps of a day between two publications; the end of a day publishes what is left.
      batch_size: Rows of a step.
      writer: Takes the publications.
      monitor: Observes them.
      clock: Tells how long training waited for input.
      progress: Shows them.
      step: Steps done before.
      skipped: Tells how many rows of the log this process has skipped so far; input is read ahead of training. None: no row can be.

    Attributes:
      step: Steps done.
      seconds: Seconds spent in training steps and their input, publishing left out.
    """

    def __init__(
        self,
        *,
        every: int,
        batch_size: int,
        writer: Writer,
        monitor: DivergenceMonitor,
        clock: WaitClock,
        progress: Progress,
        step: int = 0,
        skipped: Callable[[], int] | None = None,
    ):
        super().__init__()
        self._every = every
        self._batch_size = batch_size
        self._writer = writer
        self._monitor = monitor
        self._clock = clock
        self._progress = progress
        self.step = step
        self.seconds = 0.0
        self._skipped, self._skipped_before = skipped, 0
        self._published = step
        self.begin_day("", 0)

    def begin_day(self, name: str, start: int) -> None:
        """The next fit trains on this day, from its batch ``start`` on."""
        self._day = name
        self._day_began = self.step - start
        self._goes_on = start > 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """A fit begins: time and input before it do not count."""
        self._fit_began = self.step
        self._held = (
            [(v, tf.convert_to_tensor(v)) for m in self.model.metrics for v in m.weights] if self._goes_on else []
        )
        self._begin_window()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keras has just reset the metrics: in the middle of a day they go on with what a checkpoint held."""
        for variable, value in self._held:
            variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Some steps are done; ``batch`` is the last one's position in this fit."""
        before, self.step = self.step, self._fit_began + batch + 1
        if logs and (self.step - self._day_began) // self._every > (before - self._day_began) // self._every:
            self._publish(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The day is over: the metrics are about to be reset."""
        if logs and self.step > self._published:
            self._publish(logs)

    def _publish(self, logs: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - self._began
        self.seconds += seconds
        metrics = drop_undefined({key: float(value) for key, value in logs.items()})
        metrics["learning_rate"] = float(tf.convert_to_tensor(unwrap_optimizer(self.model.optimizer).learning_rate))
        metrics |= self._monitor.read_metrics()
        metrics["examples_per_second"] = (self.step - self._published) * self._batch_size / seconds
        metrics["input_wait_fraction"] = (self._clock.seconds - self._waited) / seconds
        if self._skipped is not None:
            skipped = self._skipped()
            metrics["skipped_examples"] = skipped - self._skipped_before
            self._skipped_before = skipped
        self._writer.write(self.step, metrics | {"day": self._day})
        self._progress.update(self.step, metrics["loss"])
        self._monitor.observe_metrics(self.step, metrics)
        self.model.reset_metrics()
        self._published = self.step
        self._begin_window()

    def _begin_window(self) -> None:
        self._began, self._waited = time.perf_counter(), self._clock.seconds


def drop_undefined(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without those that have no value: a task without labels, an AUC without both classes.

    A loss that is not finite stays: it has a value, and that is it.
    """
    without_labels = {
        key.partition("/")[2] for key, value in metrics.items() if key.startswith("examples/") and not value
    }
    return {
        key: value
        for key, value in metrics.items()
        if not (key.partition("/")[2] in without_labels or (key.startswith("auc/") and math.isnan(value)))
    }

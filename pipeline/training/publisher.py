"""The Keras callback that publishes the training metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from ...foundation.metric_key import MetricKey
from ..config.settings import Config
from ..data import Source
from ..data.batching import WaitClock
from ..divergence import DivergenceMonitor
from ..divergence.keras_compat import unwrap_optimizer
from .progress import TrainingProgress
from .run_state import RunState
from .writers import Writer


class Publisher(tf_keras.callbacks.Callback):
    """Advances the run's position, and publishes the metrics at fixed steps of each day.

    A publication covers the steps since the previous publication. It writes Keras's metrics and the monitor's
    measurements, passes them to the monitor, and resets Keras's metrics. The interval counts from the beginning of the
    day, so a resumed run publishes at the same steps as an uninterrupted run.

    | key | meaning | when |
    |---|---|---|
    | ``loss`` | mean over the rows since the last publication | if a row had a label of any task |
    | ``regularization_loss`` | mean over the rows since the last publication | always |
    | ``loss/<task>``, ``prediction_mean/<task>``, ``label_mean/<task>`` | mean over the labeled rows | if a row had a label |
    | ``examples/<task>`` | number of labeled rows | if a row had a label |
    | ``auc/<task>`` | AUC of a binary task | if both classes occurred |
    | ``rmse/<task>``, ``rmse_of_mean/<task>`` | RMSE of a regression task, and RMSE of predicting the mean label | if a row had a label |
    | ``learning_rate`` | learning rate of the last step | always |
    | ``skipped_examples`` | faulty rows that training skipped | if the log checks its rows |
    | ``examples_per_second`` | rows per second, including the time spent waiting for input | always |
    | ``input_wait_fraction`` | share of the time spent waiting for input | always |
    | ``day`` | name of the current day | always |

    ``docs/metrics.md`` lists the keys that the monitor adds.

    Args:
      config: The configuration. ``training.publish_every_steps`` is the number of steps between two publications. The
        end of a day publishes the remaining steps.
      source: The log, which counts its faulty rows.
      state: The run's position, which this callback advances.
      monitor: Adds its measurements to each publication, then judges it.
      clock: Measures how long training waits for its input.
      writer: Receives the publications.
      progress: Shows step and loss.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        state: RunState,
        monitor: DivergenceMonitor,
        clock: WaitClock,
        writer: Writer,
        progress: TrainingProgress,
    ):
        super().__init__()
        self._every = config.training.publish_every_steps
        self._batch_size = config.data.batch_size
        self._source = source
        self._state = state
        self._monitor = monitor
        self._clock = clock
        self._writer = writer
        self._progress = progress
        self._published_step = state.step

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts a fit, which trains on one day. The time between two fits does not count."""
        self._fit_start_step = self._state.step
        # In the middle of a day, a checkpoint has restored the metrics, and Keras is about to reset them.
        metrics = self.model.metrics if self._state.is_mid_day else []
        self._restored_metrics = [(v, tf.convert_to_tensor(v)) for metric in metrics for v in metric.weights]
        self._start_window()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Restores the metrics that Keras has just reset."""
        for variable, value in self._restored_metrics:
            variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts the completed steps; ``batch`` is the index of the last one in this fit."""
        state, previous_step = self._state, self._state.step
        state.step = self._fit_start_step + batch + 1
        windows_before = (previous_step - state.day_start_step) // self._every
        if logs and (state.step - state.day_start_step) // self._every > windows_before:
            self._publish(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Publishes the remaining steps of the day, before Keras resets the metrics."""
        if logs and self._state.step > self._published_step:
            self._publish(logs)

    def _publish(self, logs: Mapping[str, Any]) -> None:
        step = self._state.step
        seconds = time.perf_counter() - self._window_start
        self._state.training_seconds += seconds
        metrics = drop_undefined({key: float(value) for key, value in logs.items()})
        metrics["learning_rate"] = float(tf.convert_to_tensor(unwrap_optimizer(self.model.optimizer).learning_rate))
        metrics |= self._monitor.read_metrics()
        metrics["examples_per_second"] = (step - self._published_step) * self._batch_size / seconds
        metrics["input_wait_fraction"] = (self._clock.seconds - self._window_start_wait) / seconds
        if self._source.validates_rows:
            # Includes rows of later steps, because the input pipeline reads ahead of training.
            skipped_rows = self._source.row_faults.skipped_rows
            metrics["skipped_examples"] = skipped_rows - self._state.published_skipped_rows
            self._state.published_skipped_rows = skipped_rows
        self._writer.write(step, {**metrics, "day": self._state.day})
        self._progress.update(step, metrics.get("loss"))
        self._monitor.observe_metrics(step, metrics)
        self.model.reset_metrics()
        self._published_step = step
        self._start_window()

    def _start_window(self) -> None:
        self._window_start, self._window_start_wait = time.perf_counter(), self._clock.seconds


def drop_undefined(metrics: Mapping[str, float]) -> dict[str, float]:
    """Removes undefined metrics.

    Undefined are all metrics of a task without labeled rows, and an AUC that is NaN because only one class occurred. A
    loss of NaN or infinity stays, because it shows that training diverged. Without a label of any task, the total loss is
    undefined too.

    Example:
    >>> drop_undefined({"examples/click": 8, "auc/click": float("nan"), "examples/like": 0, "loss/like": float("nan")})
    {'examples/click': 8}
    """
    keys = {key: MetricKey.parse(key) for key in metrics}
    examples = {keys[key].subject: value for key, value in metrics.items() if keys[key].kind == "examples"}
    unlabeled = {task for task, value in examples.items() if not value}
    has_total = len(unlabeled) < len(examples) or not examples or not math.isfinite(metrics.get("loss", 0.0))

    def is_defined(key: MetricKey, value: float) -> bool:
        if key == MetricKey("loss"):
            return has_total
        return key.subject not in unlabeled and not (key.kind == "auc" and math.isnan(value))

    return {key: value for key, value in metrics.items() if is_defined(keys[key], value)}

"""Reads Keras's logs: renames them, and makes windows of the losses if the steps are not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...foundation.metric_key import MetricKey
from .signal_statistics import SignalStatistics, WindowStatistics


def rename_keras_logs(logs: Mapping[str, Any]) -> dict[str, float]:
    """Renames the logs of a Keras callback, and drops values that are not numbers.

    Example:
    >>> rename_keras_logs({"loss": 0.7, "click_loss": 0.5, "click_auc_1": 0.8})
    {'loss': 0.7, 'loss/click': 0.5, 'auc/click': 0.8}
    """
    metrics: dict[str, float] = {}
    for name, value in logs.items():
        task, _, kind = name.rpartition("_")
        # Keras appends a number to repeated metrics, such as auc_1.
        unnumbered = name.rstrip("_0123456789")
        if unnumbered.endswith("_auc"):
            task, kind = unnumbered.removesuffix("_auc"), "auc"
        key = str(MetricKey(kind, task)) if task and kind in ("loss", "auc") else name
        try:
            metrics[key] = float(value)
        except (TypeError, ValueError):
            continue
    return metrics


class LoggedLosses:
    """Makes windows of the losses in Keras's logs, which are means over the epoch so far.

    Late in an epoch, such a mean hides that the loss has changed. From the means before and after a window, the reader
    computes the mean loss of its steps.

    Example:
    >>> losses = LoggedLosses()
    >>> windows = [losses.make_window({"loss": loss}, end) for loss, end in ((2.0, 10), (3.0, 20))]
    >>> [(window.steps, window.signals["logged_loss"].mean) for window in windows]
    [(10, 2.0), (10, 4.0)]
    """

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, step: int) -> None:
        """Begins a new mean after ``step`` steps, as Keras does in each epoch."""
        self._began_at = self._last_step = step
        self._last_means: dict[str, float] = {}
        self._nonfinite_runs: dict[str, int] = {}

    def make_window(self, metrics: Mapping[str, float], step: int, are_means: bool = True) -> WindowStatistics:
        """Returns the window since the last call.

        Args:
          metrics: By key, as :func:`rename_keras_logs` returns them.
          step: Number of training steps so far.
          are_means: Whether the losses are means. A user's own training step may log other values.
        """
        steps, earlier_steps = step - self._last_step, self._last_step - self._began_at
        window = WindowStatistics(steps)
        for name, value in metrics.items():
            key = MetricKey.parse(name)
            if key.kind != "loss" or not steps:
                continue
            last = self._last_means.get(name, math.nan)
            if are_means and math.isfinite(last):
                loss = ((earlier_steps + steps) * value - earlier_steps * last) / steps
            else:
                loss = value
            is_finite = math.isfinite(loss)
            self._nonfinite_runs[name] = 0 if is_finite else self._nonfinite_runs.get(name, 0) + steps
            signal = _make_statistics(loss if is_finite else math.nan, steps, self._nonfinite_runs[name])
            window.signals[str(MetricKey("logged_loss", key.subject))] = signal
        self._last_step, self._last_means = step, dict(metrics)
        return window


def _make_statistics(mean: float, steps: int, nonfinite_run: int) -> SignalStatistics:
    """Makes the statistics of a window of which only the mean is known."""
    return SignalStatistics(
        minimum=mean,
        maximum=mean,
        minimum_step=0 if nonfinite_run else 1,
        maximum_step=0 if nonfinite_run else 1,
        mean=mean,
        deviation=mean if math.isnan(mean) else 0.0,
        finite_count=0 if nonfinite_run else steps,
        nonfinite_count=steps if nonfinite_run else 0,
        first_nonfinite_step=1 if nonfinite_run else 0,
        run_length=nonfinite_run,
        longest_run=nonfinite_run,
    )

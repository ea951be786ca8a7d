"""Judges the losses of all tasks over a window of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ....foundation.metric_key import MetricKey
from ..event import Event
from ..signal_statistics import SignalStatistics
from .spikes import find_spike
from .step_losses import MIN_RUN, PATIENCE_AT_START, Window, check_step_losses, find_lost_skill, has_no_skill
from .task_state import TaskState
from .thresholds import Thresholds

# After this many consecutive windows with a spike, spikes are usual.
_USUAL_SPIKE_WINDOWS = 4


class _TaskLoss(NamedTuple):
    """The losses of one task over a window.

    Attributes:
      state: The state of the task.
      loss: The loss.
      normalized_loss: The normalized loss; None if unknown.
      prediction_loss, constant_loss: The numerator and the denominator of the normalized loss; None if unknown.
      calibration: The mean prediction divided by the mean label; None if unknown.
      is_mean: Whether the loss is a mean over the epoch so far, as in Keras's logs, and not the loss of a step.
      is_part: Whether it is a part of another logged loss. A part may grow while the loss falls.
    """

    state: TaskState
    loss: SignalStatistics
    normalized_loss: SignalStatistics | None
    prediction_loss: SignalStatistics | None
    constant_loss: SignalStatistics | None
    calibration: SignalStatistics | None
    is_mean: bool
    is_part: bool


class LossChecks:
    """Judges losses, and updates the states of the tasks.

    Args:
      thresholds: The detector's settings.
      find_task: Returns the state of a task by its name.

    Attributes:
      highest_rate: The highest learning rate so far.
    """

    def __init__(self, thresholds: Thresholds, find_task: Callable[[str], TaskState]):
        self._thresholds = thresholds
        self._find_task = find_task
        self.highest_rate = 0.0

    def observe_window(
        self, window: Window, signals: Mapping[str, SignalStatistics], learning_rate: float | None
    ) -> list[Event]:
        """Judges a window.

        Args:
          window: The window.
          signals: Its signals. Signals other than losses are ignored.
          learning_rate: The learning rate at its end; None if unknown.
        """
        is_rate_rising = learning_rate is not None and learning_rate > 1.001 * self.highest_rate
        self.highest_rate = max(self.highest_rate, learning_rate or 0.0)
        tasks = self._select_tasks(signals)
        for task in tasks:
            if task.normalized_loss is not None:
                loss = task.loss if task.prediction_loss is None else task.prediction_loss
                task.state.progress.update(loss, task.normalized_loss, task.constant_loss, task.calibration)
        for task in tasks:
            if is_rate_rising or self._is_waiting(task, tasks):
                task.state.progress.restart_patience()
        normalized_losses = [(task.state, task.normalized_loss) for task in tasks if task.normalized_loss is not None]
        # Harder labels reduce the skill of one task. A divergence reduces the skill of all tasks that share layers.
        lost_skill = [state for state, signal in normalized_losses if find_lost_skill(state, signal, self._thresholds)]
        unskilled = {id(state) for state, signal in normalized_losses if has_no_skill(state, signal)}
        most_lost_skill = 2 * len(lost_skill) >= len(normalized_losses)
        most_unskilled = 2 * len(unskilled) >= len(normalized_losses)
        events: list[Event] = []
        for task in tasks:
            is_stuck = most_unskilled and id(task.state) in unskilled
            events += self._observe_task(task, window, most_lost_skill, is_stuck)
        return events

    def _select_tasks(self, signals: Mapping[str, SignalStatistics]) -> list[_TaskLoss]:
        """Lists the tasks with a loss in a window. Keras's logs count only if the loss of the steps is unknown."""
        losses = _select(signals, "loss")
        is_mean = not losses
        losses = losses or _select(signals, "logged_loss") or self._select_values(signals)
        if len(losses) > 1 and not is_mean:
            total = losses.pop("", None)
            # The sum adds no information to the tasks' losses, unless another part of it is not finite.
            if total is not None and total.nonfinite_count > max(loss.nonfinite_count for loss in losses.values()):
                losses[""] = total
        normalized_losses = {
            task: signal
            for task, signal in _select(signals, "normalized_loss").items()
            # Batches of a few rows have no normalized loss.
            if signal.finite_count or signal.nonfinite_count
        }
        kinds = ("prediction_loss", "constant_loss", "calibration")
        prediction_losses, constant_losses, calibrations = (_select(signals, kind) for kind in kinds)
        return [
            _TaskLoss(
                self._find_task(task),
                loss,
                normalized_losses.get(task),
                prediction_losses.get(task),
                constant_losses.get(task),
                calibrations.get(task),
                is_mean,
                is_part=bool(task) and is_mean and "" in losses,
            )
            for task, loss in losses.items()
            # Without labels in a window, the task stays as it was.
            if loss.finite_count or loss.nonfinite_count
        ]

    def _select_values(self, signals: Mapping[str, SignalStatistics]) -> dict[str, SignalStatistics]:
        """Selects the numbers in Keras's logs that were finite before. A metric may be undefined from the start."""
        values = _select(signals, "logged_value")
        return {name: value for name, value in values.items() if value.finite_count or self._find_task(name).losses}

    def _is_waiting(self, task: _TaskLoss, tasks: list[_TaskLoss]) -> bool:
        """Returns whether a task is not trained yet: its loss stays at the start, and another task learns."""
        if not task.state.progress.is_at_start:
            return False
        patience = PATIENCE_AT_START * self._thresholds.patience_steps
        others = [other.state.progress for other in tasks if other.state is not task.state]
        return any(
            other.level <= self._thresholds.loss_ratio
            or (math.isfinite(other.level) and other.stalled_steps < patience)
            for other in others
        )

    def _observe_task(self, task: _TaskLoss, window: Window, may_lose_skill: bool, is_stuck: bool) -> list[Event]:
        """Judges the loss of one task over a window.

        ``is_stuck``: the task is unlikely to recover without a rollback.
        """
        state, loss, normalized_loss = task.state, task.loss, task.normalized_loss
        out_of_range = None
        if loss.nonfinite_count or not task.is_part:
            out_of_range = check_step_losses(
                state,
                window,
                loss,
                normalized_loss,
                may_lose_skill=may_lose_skill or "steps" in state.range.out_since,
                thresholds=self._thresholds,
            )
        if out_of_range is not None and (out_of_range.run_length >= MIN_RUN or "steps" in state.range.out_since):
            patience = self._thresholds.patience_steps
            steps_out = window.end - out_of_range.since + 1
            is_full = out_of_range.run_length >= patience or (is_stuck and steps_out >= patience)
            events = state.range.mark_out_of_range(
                "steps", out_of_range.since, window.end, out_of_range.evidence, is_full
            )
        else:
            # A task has returned once it stays in range for a whole window.
            events = [] if out_of_range is not None else state.range.mark_in_range("steps", window.end)
            # A mean over the epoch so far hides single steps, and jumps when an epoch begins.
            spike = None if task.is_mean else find_spike(state, window.before, loss, normalized_loss, self._thresholds)
            events += [] if spike is None else [spike]
            state.spike_windows = 0 if spike is None else state.spike_windows + 1
        # A window with a spike would hide the next spike. After several such windows, spikes are usual.
        if state.range.since is None and not 0 < state.spike_windows < _USUAL_SPIKE_WINDOWS:
            state.losses.append(loss)
            if normalized_loss is not None:
                state.normalized_losses.append(normalized_loss)
        return events


def _select(signals: Mapping[str, SignalStatistics], kind: str) -> dict[str, SignalStatistics]:
    """Returns the signals of one kind, by subject."""
    keys = {name: MetricKey.parse(name) for name in signals}
    return {key.subject: signals[name] for name, key in keys.items() if key.kind == kind}

"""Judges the losses of the single steps of one window.

A task is out of range if its loss is far above the loss of a constant prediction on the same rows (a normalized loss
above ``loss_ratio``), or if it has lost most of its lead over the constant prediction. Both compare losses on the same
rows, so a shift of the labels alone raises no alarm. If the loss of a constant prediction is unknown, a loss far above
its usual value counts.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from ..event import Evidence, format_number
from ..signal_statistics import SignalStatistics
from .loss_history import MIN_WINDOWS
from .task_state import TaskState
from .thresholds import Thresholds

MIN_RUN = 3
"""Smallest number of consecutive out-of-range steps that counts as a divergence. Fewer are a spike."""

# Factor of the patience for a model that has not begun to learn.
_PATIENCE_AT_START = 8


class Window(NamedTuple):
    """A window of consecutive training steps.

    Attributes:
      before: Number of training steps before the window.
      steps: Number of steps in the window.
    """

    before: int
    steps: int

    @property
    def end(self) -> int:
        """The last step of the window."""
        return self.before + self.steps


class OutOfRange(NamedTuple):
    """The finding that a task was out of range in a window.

    Attributes:
      since: First step out of range.
      run_length: Number of consecutive steps out of range.
      evidence: The measurement.
    """

    since: int
    run_length: int
    evidence: Evidence


def check_step_losses(
    state: TaskState,
    window: Window,
    loss: SignalStatistics,
    normalized_loss: SignalStatistics | None,
    *,
    may_lose_skill: bool,
    thresholds: Thresholds,
) -> OutOfRange | None:
    """Judges whether a task was out of range in a window. Updates in ``state`` whether the task has begun to learn.

    Args:
      state: The state of the task.
      window: The window.
      loss: The task's loss over the window.
      normalized_loss: The task's normalized loss over the window; None if unknown.
      may_lose_skill: Whether a lost lead over a constant prediction counts.
      thresholds: The detector's settings.
    """
    if normalized_loss is None:
        return _check_growth(state, window, loss, thresholds)
    normalized_loss = _update_learning_state(state, normalized_loss, thresholds)
    run = normalized_loss.longest_run
    if not (state.has_learned or normalized_loss.nonfinite_count):
        run = max(run - _PATIENCE_AT_START * thresholds.patience_steps, 0)
    lost_skill = find_lost_skill(state, normalized_loss, thresholds) if may_lose_skill else None
    if not run and lost_skill is None:
        return None
    if not run:
        start_step = window.before + 1
    elif normalized_loss.run_length:
        start_step = window.end - normalized_loss.run_length + 1
    else:
        start_step = window.before + max(normalized_loss.maximum_step - run + 1, 1)
    since = state.range.out_since.get("steps", max(start_step, 1))
    if loss.nonfinite_count:
        first = window.before + loss.first_nonfinite_step
        return OutOfRange(min(since, first), run, Evidence.of("loss not finite"))
    if not run and lost_skill is not None:
        return OutOfRange(since, MIN_RUN, lost_skill)
    ratio = format_number(normalized_loss.maximum)
    text = f"loss {format_number(loss.maximum)}, {ratio} times the loss of a constant prediction"
    return OutOfRange(since, run, Evidence.of(text, loss=loss.maximum, normalized_loss=normalized_loss.maximum))


def find_lost_skill(state: TaskState, normalized_loss: SignalStatistics, thresholds: Thresholds) -> Evidence | None:
    """Returns evidence that a task has lost most of its lead over a constant prediction; None without clear evidence."""
    usual = state.normalized_losses.usual
    if usual is None or normalized_loss.finite_count < MIN_WINDOWS:
        return None
    error = normalized_loss.deviation / math.sqrt(max(normalized_loss.finite_count, 1))
    lead = 1.0 - usual.mean
    if lead < 4 * error or normalized_loss.mean - 2 * error <= 1.0 - thresholds.collapse_share * lead:
        return None
    ratio = format_number(normalized_loss.mean)
    text = f"loss {ratio} times the loss of a constant prediction (was {format_number(usual.mean)} times)"
    return Evidence.of(text, normalized_loss=normalized_loss.mean, usual_normalized_loss=usual.mean)


def has_no_skill(state: TaskState, normalized_loss: SignalStatistics) -> bool:
    """Returns whether a task never beat a constant prediction in a window by at least a tenth of its usual lead."""
    usual = state.normalized_losses.usual
    lead = max(1.0 - usual.mean, 0.0) if usual is not None else 0.0
    steps = normalized_loss.finite_count + normalized_loss.nonfinite_count
    return steps > 0 and not normalized_loss.minimum <= 1.0 - 0.1 * lead


def _update_learning_state(
    state: TaskState, normalized_loss: SignalStatistics, thresholds: Thresholds
) -> SignalStatistics:
    """Updates whether the task has begun to learn. If it begins in this window, earlier steps do not count as a run."""
    if not normalized_loss.finite_count:
        return normalized_loss
    if state.first_normalized_loss is None:
        state.first_normalized_loss = normalized_loss.minimum
    is_in_range = normalized_loss.minimum <= thresholds.loss_ratio
    has_moved_away = normalized_loss.minimum > thresholds.loss_growth * state.first_normalized_loss
    starts_learning = is_in_range and not state.has_learned
    state.has_learned = bool(state.has_learned or is_in_range or has_moved_away)
    return (
        dataclasses.replace(normalized_loss, longest_run=normalized_loss.run_length)
        if starts_learning
        else normalized_loss
    )


def _check_growth(
    state: TaskState, window: Window, loss: SignalStatistics, thresholds: Thresholds
) -> OutOfRange | None:
    """Judges a loss if the loss of a constant prediction is unknown."""
    if loss.nonfinite_count:
        first = window.before + loss.first_nonfinite_step
        return OutOfRange(first, loss.nonfinite_count, Evidence.of("loss not finite"))
    usual = state.losses.usual
    if usual is None:
        return None
    limit = max(thresholds.loss_growth * usual.mean, usual.mean + thresholds.spike_deviations * usual.deviation)
    if loss.mean <= limit:
        return None
    since = state.range.out_since.get("steps", window.before + 1)
    text = f"loss {format_number(loss.mean)} (was {format_number(usual.mean)})"
    return OutOfRange(since, window.end - since + 1, Evidence.of(text, loss=loss.mean, usual=usual.mean))

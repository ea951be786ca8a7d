"""Judges the losses of the single steps of one window.

A task is out of range if its loss is far above that of a constant prediction on the same rows (a normalized loss above
``loss_ratio``), or if it has lost most of its lead over one. Neither depends on what the loss used to be, so a shift of the labels
alone is no alarm. Where the loss of a constant prediction is not known, growth beyond the usual loss counts instead.
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
"""Fewer steps in a row out of range are a spike, not a divergence."""

# A model that has not begun to learn gets this many times the usual patience.
_PATIENCE_AT_START = 8


class Window(NamedTuple):
    """Steps that were measured together.

    Attributes:
      before: Training steps before the window.
      steps: Steps in the window.
    """

    before: int
    steps: int

    @property
    def end(self) -> int:
        """The last step of the window."""
        return self.before + self.steps


class OutOfRange(NamedTuple):
    """A task was out of range in a window.

    Attributes:
      since: First step out of range.
      run_length: Steps out of range in a row.
      evidence: What was measured.
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
    """Judges whether a task was out of range in a window. Updates what ``state`` knows of the task's beginnings.

    Args:
      state: The memory of the task.
      window: The window.
      loss: The task's loss over the window.
      normalized_loss: Its normalized loss over the window; None if it is not known.
      may_lose_skill: Whether a lost lead over a constant prediction counts.
      thresholds: The detector's settings.
    """
    if normalized_loss is None:
        return _check_growth(state, window, loss, thresholds)
    normalized_loss = _note_beginnings(state, normalized_loss, thresholds)
    run = normalized_loss.longest_run
    if not (state.has_learned or normalized_loss.nonfinite_count):
        run = max(run - _PATIENCE_AT_START * thresholds.patience_steps, 0)
    lost_skill = find_lost_skill(state, normalized_loss, thresholds) if may_lose_skill else None
    if not run and lost_skill is None:
        return None
    if not run:
        began = window.before + 1
    elif normalized_loss.run_length:
        began = window.end - normalized_loss.run_length + 1
    else:
        began = window.before + max(normalized_loss.maximum_step - run + 1, 1)
    since = state.range.out_since.get("steps", max(began, 1))
    if loss.nonfinite_count:
        first = window.before + loss.first_nonfinite_step
        return OutOfRange(min(since, first), run, Evidence.of("loss not finite"))
    if not run and lost_skill is not None:
        return OutOfRange(since, MIN_RUN, lost_skill)
    text = f"loss {format_number(loss.maximum)} ({format_number(normalized_loss.maximum)} times that of a constant prediction)"
    return OutOfRange(since, run, Evidence.of(text, loss=loss.maximum, normalized_loss=normalized_loss.maximum))


def find_lost_skill(state: TaskState, normalized_loss: SignalStatistics, thresholds: Thresholds) -> Evidence | None:
    """Returns evidence that a task has lost most of its lead over a constant prediction; None if it may not have."""
    usual = state.normalized_losses.usual
    if usual is None or normalized_loss.finite_count < MIN_WINDOWS:
        return None
    error = normalized_loss.deviation / math.sqrt(max(normalized_loss.finite_count, 1))
    lead = 1.0 - usual.mean
    if lead < 4 * error or normalized_loss.mean - 2 * error <= 1.0 - thresholds.collapse_share * lead:
        return None
    text = f"loss {format_number(normalized_loss.mean)} times that of a constant prediction (was {format_number(usual.mean)})"
    return Evidence.of(text, normalized_loss=normalized_loss.mean, usual_normalized_loss=usual.mean)


def has_no_skill(state: TaskState, normalized_loss: SignalStatistics) -> bool:
    """Returns whether a task was better than a constant prediction in no step of a window, by a tenth of its usual lead."""
    usual = state.normalized_losses.usual
    lead = max(1.0 - usual.mean, 0.0) if usual is not None else 0.0
    steps = normalized_loss.finite_count + normalized_loss.nonfinite_count
    return steps > 0 and not normalized_loss.minimum <= 1.0 - 0.1 * lead


def _note_beginnings(state: TaskState, normalized_loss: SignalStatistics, thresholds: Thresholds) -> SignalStatistics:
    """Updates whether the task has begun to learn; leaves out of the window's runs what came before."""
    if not normalized_loss.finite_count:
        return normalized_loss
    if state.first_normalized_loss is None:
        state.first_normalized_loss = normalized_loss.minimum
    is_in_range = normalized_loss.minimum <= thresholds.loss_ratio
    has_moved_away = normalized_loss.minimum > thresholds.loss_growth * state.first_normalized_loss
    begins = is_in_range and not state.has_learned
    state.has_learned = bool(state.has_learned or is_in_range or has_moved_away)
    return dataclasses.replace(normalized_loss, longest_run=normalized_loss.run_length) if begins else normalized_loss


def _check_growth(
    state: TaskState, window: Window, loss: SignalStatistics, thresholds: Thresholds
) -> OutOfRange | None:
    """Judges a loss for which that of a constant prediction is not known."""
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

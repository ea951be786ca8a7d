"""Judges the losses of the single steps of one window.

A task is out of range if one of these holds:

- Its loss is not finite.
- Its loss is far above the loss of a constant prediction on the same rows (a normalized loss above ``loss_ratio``), and
  above its own earlier level. A loss that started there counts only after it has stopped to fall for a long time.
- It has lost most of its lead over the constant prediction.
- The loss of a constant prediction is unknown, and the loss is far above all earlier windows, or has returned from less
  than a tenth of its start to its start.

The normalized loss compares losses on the same rows, so a shift of the labels alone raises no alarm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..event import Evidence, format_number
from ..signal_statistics import SignalStatistics
from .loss_history import MIN_WINDOWS, UsualLoss
from .task_state import TaskState
from .thresholds import Thresholds

MIN_RUN = 3
"""Smallest number of consecutive out-of-range steps that counts as a divergence. Fewer are a spike."""

PATIENCE_AT_START = 8
"""Factor of the patience for a model whose loss was never in range."""

# A loss in range may rise to this multiple of its lowest level, even above ``loss_ratio``.
_LEVEL_GROWTH = 1.5
# Without a known constant: a loss that fell below a tenth of its start and returned to it has collapsed.
_LEARNED_SHARE, _COLLAPSED_SHARES = 0.1, (0.9, 1.5)


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
    """Judges whether a task was out of range in a window.

    Args:
      state: The state of the task. Its progress includes the window.
      window: The window.
      loss: The task's loss over the window.
      normalized_loss: The task's normalized loss over the window; None if unknown.
      may_lose_skill: Whether a lost lead over a constant prediction counts.
      thresholds: The detector's settings.
    """
    if loss.nonfinite_count:
        return _check_nonfinite(state, window, loss, normalized_loss, thresholds)
    if normalized_loss is None:
        return _check_growth(state, window, loss, thresholds)
    stalled = _count_stalled_steps(state, thresholds)
    run = max(_count_run(state, normalized_loss, thresholds), stalled)
    lost_skill = find_lost_skill(state, normalized_loss, thresholds) if may_lose_skill else None
    if not run and lost_skill is None:
        return None
    if not run:
        start_step = window.before + 1
    elif stalled:
        start_step = window.end - state.progress.stalled_steps + 1
    elif normalized_loss.run_length:
        start_step = window.end - normalized_loss.run_length + 1
    else:
        start_step = window.before + max(normalized_loss.maximum_step - run + 1, 1)
    since = state.range.out_since.get("steps", max(start_step, 1))
    if not run and lost_skill is not None:
        return OutOfRange(since, MIN_RUN, lost_skill)
    ratio = format_number(normalized_loss.maximum)
    text = f"loss {format_number(loss.maximum)}, {ratio} times the loss of a constant prediction"
    return OutOfRange(since, run, Evidence.of(text, loss=loss.maximum, normalized_loss=normalized_loss.maximum))


def compute_limit(state: TaskState, thresholds: Thresholds) -> float:
    """Computes the normalized loss above which a task is out of range."""
    level = state.progress.level
    return max(thresholds.loss_ratio, _LEVEL_GROWTH * level) if math.isfinite(level) else thresholds.loss_ratio


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


def _check_nonfinite(
    state: TaskState,
    window: Window,
    loss: SignalStatistics,
    normalized_loss: SignalStatistics | None,
    thresholds: Thresholds,
) -> OutOfRange:
    """Judges a window with losses that are not finite."""
    run = loss.longest_run
    if normalized_loss is not None and (normalized_loss.finite_count or "steps" in state.range.out_since):
        # Steps that are far too high often come before the first step that is not finite.
        run = max(run, _count_run(state, normalized_loss, thresholds))
    first = window.before + loss.first_nonfinite_step
    if loss.run_length >= window.steps:
        first = window.end - loss.run_length + 1
    return OutOfRange(min(state.range.out_since.get("steps", first), first), run, Evidence.of("loss not finite"))


def _count_run(state: TaskState, normalized_loss: SignalStatistics, thresholds: Thresholds) -> int:
    """Returns the length of the longest run of steps far above a constant prediction, if it is unusual for the task."""
    limit = compute_limit(state, thresholds)
    # In single batches without a positive, the loss of a constant prediction is very small.
    usual_maximum = state.normalized_losses.compute_spike_threshold(thresholds.spike_deviations)
    is_unusual_step = limit <= thresholds.loss_ratio and normalized_loss.maximum > usual_maximum
    # Not written with >, because these numbers are NaN without a finite step.
    is_usual_window = state.progress.last <= limit
    if limit > thresholds.loss_ratio:
        # A window with few positives has a small constant loss, but no larger loss.
        is_usual_window |= state.progress.growth <= _LEVEL_GROWTH
    return 0 if is_usual_window and not is_unusual_step else normalized_loss.longest_run


def _count_stalled_steps(state: TaskState, thresholds: Thresholds) -> int:
    """Returns by how many steps a loss that was never in range has stopped to fall for too long."""
    progress, ratio = state.progress, thresholds.loss_ratio
    if not (progress.level > ratio and progress.last > ratio):
        return 0
    patience = PATIENCE_AT_START * thresholds.patience_steps
    return progress.count_stalled_steps(patience, is_out="steps" in state.range.out_since)


def _check_growth(
    state: TaskState, window: Window, loss: SignalStatistics, thresholds: Thresholds
) -> OutOfRange | None:
    """Judges a loss if the loss of a constant prediction is unknown."""
    usual, growth = state.losses.usual, thresholds.loss_growth
    if not state.losses:
        return None
    if usual is None:
        # After one to three windows, only an explosion is certain.
        usual, growth = UsualLoss(state.losses.start, 0.0, 0.0), growth * growth
    limit = usual.mean + thresholds.spike_deviations * usual.deviation
    is_far = loss.mean > growth * state.losses.largest
    start = state.losses.start
    is_collapsed = (
        abs(usual.mean) <= _LEARNED_SHARE * start
        and _COLLAPSED_SHARES[0] * start <= loss.mean <= _COLLAPSED_SHARES[1] * start
    )
    if loss.mean <= limit or not (is_far or is_collapsed):
        return None
    since = state.range.out_since.get("steps", window.before + 1)
    text = f"loss {format_number(loss.mean)} (was {format_number(usual.mean)})"
    return OutOfRange(since, window.end - since + 1, Evidence.of(text, loss=loss.mean, usual=usual.mean))

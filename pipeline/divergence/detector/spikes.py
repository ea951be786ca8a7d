"""Detects spikes: one or a few steps with a loss far above its usual range."""

from __future__ import annotations

from ..event import Event, Evidence, format_number, join_sentences
from ..signal_statistics import SignalStatistics
from .step_losses import compute_limit
from .task_state import TaskState
from .thresholds import Thresholds

# If the loss of a constant prediction is high too, the labels explain the spike. Report it only if it is very unusual.
_REACHES_IF_EXPLAINED = 4


def find_spike(
    state: TaskState,
    before: int,
    loss: SignalStatistics,
    normalized_loss: SignalStatistics | None,
    thresholds: Thresholds,
) -> Event | None:
    """Returns the spike of a task in a window. None without a spike, or if the task is out of range.

    Args:
      state: The state of the task.
      before: Number of training steps before the window.
      loss: The task's loss over the window.
      normalized_loss: The task's normalized loss over the window; None if unknown.
      thresholds: The detector's settings.
    """
    if state.range.since is not None:
        return None
    task, deviations = state.range.task, thresholds.spike_deviations
    if loss.nonfinite_count:
        steps = f"{loss.nonfinite_count} step{'s' * (loss.nonfinite_count > 1)}"
        values = {"count": float(loss.nonfinite_count), "explained": 0.0}
        step = before + loss.first_nonfinite_step
        return Event(step, "spike", task, f"loss not finite in {steps}", values=values)
    if normalized_loss is not None:
        usual = state.normalized_losses.usual
        limit = state.normalized_losses.compute_spike_threshold(deviations)
        if usual is not None and normalized_loss.maximum > limit:
            evidence = _describe_normalized_spike(state, loss, normalized_loss)
            return Event(before + normalized_loss.maximum_step, "spike", task, evidence.text, values=evidence.values)
    usual = state.losses.usual
    reaches = 2 if normalized_loss is None else _REACHES_IF_EXPLAINED
    if usual is None or not loss.maximum > state.losses.compute_spike_threshold(deviations, reaches):
        return None
    is_explained = normalized_loss is not None
    context = "The labels of this batch are unusual too: a constant prediction would also have a high loss"
    text = join_sentences(_format_loss(loss.maximum, usual.mean, usual.deviation), context * is_explained)
    evidence = Evidence.of(
        text, loss=loss.maximum, usual=usual.mean, spread=usual.deviation, explained=float(is_explained)
    )
    return Event(before + loss.maximum_step, "spike", task, evidence.text, values=evidence.values)


def compute_alarm_threshold(state: TaskState, thresholds: Thresholds) -> tuple[str, float]:
    """Computes the value above which a single step of a task is a spike or out of range.

    Returns:
      The signal's kind (``loss`` or ``normalized_loss``) and the value.
    """
    deviations = thresholds.spike_deviations
    if not state.normalized_losses:
        return "loss", state.losses.compute_spike_threshold(deviations)
    # Not the loss, because a high loss that the labels explain is not a bad step.
    limit = compute_limit(state, thresholds)
    return "normalized_loss", min(state.normalized_losses.compute_spike_threshold(deviations), limit)


def _describe_normalized_spike(state: TaskState, loss: SignalStatistics, normalized_loss: SignalStatistics) -> Evidence:
    usual = state.normalized_losses.usual
    assert usual is not None
    text = (
        f"loss {format_number(normalized_loss.maximum)} times the loss of a constant prediction "
        f"(usual {format_number(usual.mean)} ± {usual.deviation:.2g})"
    )
    values = {"normalized_loss": normalized_loss.maximum, "usual_normalized_loss": usual.mean, "explained": 0.0}
    # The maxima of the two signals may be in different steps of the window.
    if state.losses.usual is not None and loss.maximum_step == normalized_loss.maximum_step:
        raw = state.losses.usual
        values |= {"loss": loss.maximum, "usual": raw.mean, "spread": raw.deviation}
    return Evidence.of(text, **values)


def _format_loss(loss: float, usual: float, spread: float) -> str:
    return f"loss {format_number(loss)} (usual {format_number(usual)} ± {spread:.2g})"

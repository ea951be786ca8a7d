"""The evidence of spikes. The tests of the whole detector cover the steps of spikes."""

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.divergence import Thresholds
from steadyrank.pipeline.divergence.detector.spikes import compute_alarm_threshold, find_spike
from steadyrank.pipeline.divergence.detector.task_range import TaskRange
from steadyrank.pipeline.divergence.detector.task_state import TaskState
from steadyrank.pipeline.divergence.event import Evidence
from tests.pipeline.divergence.signals import STEPS, summarize

CALM = [3.5, 3.9] * (STEPS // 2)
THRESHOLDS = Thresholds()


def make_state(*, has_constant: bool) -> TaskState:
    """A task whose loss is usually 3.7 ± 0.2, and whose normalized loss is a quarter of it."""
    state = TaskState(TaskRange("click"))
    for _ in range(6):
        state.losses.append(summarize(CALM))
        if has_constant:
            state.normalized_losses.append(summarize([loss / 4 for loss in CALM]))
            state.progress.update(summarize(CALM), summarize([loss / 4 for loss in CALM]))
    return state


def test_a_high_loss_is_described_beside_the_usual_one():
    event = find_spike(make_state(has_constant=False), 32, summarize([*CALM[:4], 35.24, *CALM[5:]]), None, THRESHOLDS)
    assert event is not None
    assert (event.step, event.kind, event.task) == (37, "spike", "click")
    assert event.evidence == "loss 35.2 (usual 3.7 ± 0.2)"
    assert event.values == pytest.approx({"loss": 35.24, "usual": 3.7, "spread": 0.2, "explained": 0.0})


def test_a_spike_that_the_labels_explain_says_so():
    calm = summarize([loss / 4 for loss in CALM])
    spike = summarize([*CALM[:4], 35.24, *CALM[5:]])
    event = find_spike(make_state(has_constant=True), 32, spike, calm, THRESHOLDS)
    assert event is not None
    assert event.evidence == (
        "loss 35.2 (usual 3.7 ± 0.2). "
        "The labels of this batch are unusual too: a constant prediction would also have a high loss."
    )
    assert event.values["explained"] == 1.0


def test_a_spike_that_the_labels_do_not_explain_is_compared_with_a_constant():
    losses = [*CALM[:4], 35.24, *CALM[5:]]
    normalized = summarize([loss / 4 for loss in losses])
    event = find_spike(make_state(has_constant=True), 32, summarize(losses), normalized, THRESHOLDS)
    assert event is not None
    assert event.evidence == "loss 8.81 times the loss of a constant prediction (usual 0.925 ± 0.05)"
    assert event.values == pytest.approx(
        {
            "normalized_loss": 8.81,
            "usual_normalized_loss": 0.925,
            "explained": 0.0,
            "loss": 35.24,
            "usual": 3.7,
            "spread": 0.2,
        }
    )


def test_the_loss_is_left_out_if_it_belongs_to_another_step():
    normalized = summarize([*[0.9] * 7, 8.81, *[0.9] * 8])
    event = find_spike(make_state(has_constant=True), 32, summarize(CALM), normalized, THRESHOLDS)
    assert event is not None
    assert "loss" not in event.values


@pytest.mark.parametrize(("count", "text"), [(1, "loss not finite in 1 step"), (3, "loss not finite in 3 steps")])
def test_steps_that_are_not_finite_are_counted(count, text):
    loss = summarize([*CALM[:2], *[math.nan] * count, *CALM[2 + count :]])
    event = find_spike(make_state(has_constant=False), 32, loss, None, THRESHOLDS)
    assert event is not None
    assert (event.step, event.evidence, event.values) == (35, text, {"count": count, "explained": 0.0})


def test_a_task_out_of_range_has_no_spikes():
    state = make_state(has_constant=False)
    state.range.mark_out_of_range("steps", 20, 32, Evidence.of("loss 9"), is_full=False)
    assert find_spike(state, 32, summarize([*CALM[:4], 99.0, *CALM[5:]]), None, THRESHOLDS) is None


def test_alarms_use_the_normalized_loss_if_it_is_known():
    assert compute_alarm_threshold(make_state(has_constant=False), THRESHOLDS)[0] == "loss"
    kind, threshold = compute_alarm_threshold(make_state(has_constant=True), THRESHOLDS)
    assert kind == "normalized_loss"
    assert 0.975 < threshold <= THRESHOLDS.loss_ratio
    unknown = compute_alarm_threshold(TaskState(TaskRange("click")), THRESHOLDS)
    assert unknown == ("loss", math.inf)

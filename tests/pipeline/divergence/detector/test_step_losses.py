"""Judgments of one task in one window, compared with numbers computed by hand."""

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.divergence import SignalStatistics, Thresholds
from steadyrank.pipeline.divergence.detector.step_losses import (
    Window,
    check_step_losses,
    find_lost_skill,
    has_no_skill,
)
from steadyrank.pipeline.divergence.detector.task_range import TaskRange
from steadyrank.pipeline.divergence.detector.task_state import TaskState
from tests.pipeline.divergence.signals import LOSS_RATIO, STEPS, make_noise, summarize

THRESHOLDS = Thresholds()
WINDOW = Window(before=96, steps=STEPS)


def make_state(normalized_loss: float = 0.9) -> TaskState:
    """A task that has learned, with six calm windows."""
    state = TaskState(TaskRange("click"), has_learned=True, first_normalized_loss=1.0)
    for seed in range(6):
        state.losses.append(summarize(make_noise(seed, normalized_loss / 2)))
        state.normalized_losses.append(summarize(make_noise(seed, normalized_loss)))
    return state


def check(state: TaskState, values: list[float], may_lose_skill: bool = False):
    return check_step_losses(
        state,
        WINDOW,
        summarize([value / 2 for value in values]),
        summarize(values, LOSS_RATIO),
        may_lose_skill=may_lose_skill,
        thresholds=THRESHOLDS,
    )


def test_a_calm_window_is_in_range():
    assert check(make_state(), make_noise(0)) is None


def test_steps_above_the_limit_are_counted_from_the_first():
    result = check(make_state(), [*make_noise(0)[:10], *[9.0] * 6])
    assert (result.since, result.run_length) == (107, 6)
    assert result.evidence.text == "loss 4.5, 9 times the loss of a constant prediction"
    assert result.evidence.values == {"loss": 4.5, "normalized_loss": 9.0}


def test_a_run_that_ended_within_the_window_is_found():
    result = check(make_state(), [*make_noise(0)[:4], *[8.0, 8.0, 9.0], *make_noise(1)[7:]])
    assert (result.since, result.run_length) == (101, 3)


def test_a_loss_that_is_not_finite_is_named_first():
    result = check(make_state(), [*make_noise(0)[:4], *[math.nan] * 12])
    assert (result.since, result.run_length, result.evidence.text) == (101, 12, "loss not finite")


def test_a_model_that_has_not_begun_gets_eight_times_the_patience():
    state = TaskState(TaskRange("click"))
    for run_length in (8 * THRESHOLDS.patience_steps, 8 * THRESHOLDS.patience_steps + 1):
        signal = summarize([5.0] * STEPS, LOSS_RATIO, run_length - STEPS)
        result = check_step_losses(
            state, WINDOW, summarize([2.5] * STEPS), signal, may_lose_skill=False, thresholds=THRESHOLDS
        )
        assert (result is not None) == (run_length > 8 * THRESHOLDS.patience_steps)


@pytest.mark.parametrize(("normalized_loss", "is_lost"), [(0.96, False), (0.99, True)])
def test_skill_is_lost_if_a_quarter_of_the_lead_is_left(normalized_loss, is_lost):
    signal = summarize(make_noise(9, normalized_loss, 0.001))
    assert (find_lost_skill(make_state(), signal, THRESHOLDS) is not None) == is_lost


def test_a_lost_lead_counts_only_if_others_lost_theirs_too():
    lost = make_noise(9, 1.0, 0.001)
    assert check(make_state(), lost) is None
    assert check(make_state(), lost, may_lose_skill=True).since == 97


def test_a_task_with_one_good_step_has_skill():
    state = make_state()
    assert has_no_skill(state, summarize([1.0] * STEPS))
    assert not has_no_skill(state, summarize([1.0] * 15 + [0.9]))


def test_without_a_known_constant_growth_counts():
    def check_growth(values: list[float]) -> object:
        signal: SignalStatistics = summarize(values)
        return check_step_losses(make_state(), WINDOW, signal, None, may_lose_skill=False, thresholds=THRESHOLDS)

    assert check_growth(make_noise(0, 4.0)) is None
    result = check_growth(make_noise(0, 5.0))
    assert result.since == 97
    assert result.evidence.text.startswith("loss 5")
    assert "(was 0.4" in result.evidence.text

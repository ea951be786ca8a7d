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
    state = TaskState(TaskRange("click"))
    for seed in range(6):
        state.losses.append(summarize(make_noise(seed, normalized_loss / 2)))
        state.normalized_losses.append(summarize(make_noise(seed, normalized_loss)))
        state.progress.update(
            summarize(make_noise(seed, normalized_loss / 2)), summarize(make_noise(seed, normalized_loss))
        )
    return state


def check(state: TaskState, values: list[float], may_lose_skill: bool = False, run_length: int = 0):
    loss, normalized_loss = summarize([value / 2 for value in values]), summarize(values, LOSS_RATIO, run_length)
    state.progress.update(loss, normalized_loss)
    return check_step_losses(
        state,
        WINDOW,
        loss,
        normalized_loss,
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


def check_from_the_start(means: list[float]) -> list[int]:
    """Feeds windows of a new task with these mean losses; returns the runs of steps out of range."""
    state, run_length, runs = TaskState(TaskRange("click")), 0, []
    for seed, mean in enumerate(means):
        result = check(state, make_noise(seed, mean, 0.0), run_length=run_length)
        run_length += STEPS
        runs.append(0 if result is None else result.run_length)
    return runs


def test_a_loss_that_starts_high_and_does_not_fall_gets_eight_times_the_patience():
    windows_of_patience = 8 * THRESHOLDS.patience_steps // STEPS
    assert check_from_the_start([5.0] * 13) == [0] * (windows_of_patience + 1) + [16, 32]


def test_a_loss_that_starts_high_and_falls_is_in_range():
    assert not any(check_from_the_start([50.0 * 0.99**i for i in range(60)]))


def test_a_loss_that_has_halved_and_then_stalls_gets_four_times_the_patience():
    runs = check_from_the_start([50.0, 20.0, *[5.0] * 50])
    # The mean over four windows is at its lowest in the sixth window.
    assert runs.index(16) == 5 + 4 * 8 * THRESHOLDS.patience_steps // STEPS + 1


def test_a_loss_that_starts_high_and_grows_is_out_of_range_at_once():
    assert check_from_the_start([5.0, 7.0, 8.0, 50.0]) == [0, 0, 48, 64]


def test_a_loss_that_grows_from_the_first_step_is_out_of_range_at_once():
    state = TaskState(TaskRange("click"))
    assert check(state, [1.0, *[30.0] * 15]).run_length == 15


def test_a_task_near_the_limit_may_vary_by_half():
    # A model that is barely in range is not out of range because of noise around the limit.
    assert not any(check_from_the_start([1.9, 2.1, 2.5, 2.2, 1.8, 2.6]))


def test_batches_without_positives_are_no_divergence():
    # In a batch without a positive, the loss of a constant prediction is 0.001, and the normalized loss is 20.
    state = TaskState(TaskRange("click"))
    losses = [0.02, 0.02, 0.02, 0.06] * 4
    constants = [0.001, 0.001, 0.001, 0.1] * 4
    for _ in range(8):
        normalized = [loss / constant for loss, constant in zip(losses, constants, strict=True)]
        signals = summarize(losses), summarize(normalized, LOSS_RATIO)
        state.progress.update(*signals, summarize(constants))
        assert check_step_losses(state, WINDOW, *signals, may_lose_skill=False, thresholds=THRESHOLDS) is None
    assert state.progress.last == pytest.approx(0.12 / 0.103)


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
    assert check_growth(make_noise(0, -50.0)) is None
    result = check_growth(make_noise(0, 5.0))
    assert result.since == 97
    assert result.evidence.text.startswith("loss 5")
    assert "(was 0.4" in result.evidence.text


@pytest.mark.parametrize("first", [0.001, 2.0])
def test_without_a_known_constant_a_small_loss_may_vary_by_any_ratio(first):
    state = TaskState(TaskRange("click"))
    for mean in (first, 1.0, 1e-3, 1e-5, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6):
        state.losses.append(summarize([mean] * STEPS))
    result = check_step_losses(
        state, WINDOW, summarize([0.5] * STEPS), None, may_lose_skill=False, thresholds=THRESHOLDS
    )
    assert result is None


def test_without_a_known_constant_a_loss_that_returns_to_its_start_has_collapsed():
    state = TaskState(TaskRange("click"))
    for mean in (2.3, *[0.1] * 6):
        state.losses.append(summarize(make_noise(0, mean)))
    result = check_step_losses(
        state, WINDOW, summarize(make_noise(0, 2.3)), None, may_lose_skill=False, thresholds=THRESHOLDS
    )
    assert result.run_length == STEPS


def test_steps_that_are_not_finite_are_counted_over_windows():
    state = make_state()
    signal = summarize([math.nan] * STEPS, run_length=STEPS)
    result = check_step_losses(state, WINDOW, signal, None, may_lose_skill=False, thresholds=THRESHOLDS)
    assert (result.since, result.run_length) == (81, 2 * STEPS)

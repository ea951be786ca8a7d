"""What the detector makes of windows of steps: each kind of event by hand, and that no series breaks it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import Detector, SignalStatistics

STEPS = 16
LIMIT = 2.0


class Log:
    """Feeds a detector windows that are made from series of single steps."""

    def __init__(self, **arguments):
        self.detector = Detector(**arguments)
        self.before = 0
        self._runs: dict[str, int] = {}

    def reading(self, name: str, series: list[float]) -> SignalStatistics:
        values = np.array(series, np.float64)
        finite = values[np.isfinite(values)]
        run, longest = self._runs.get(name, 0), self._runs.get(name, 0)
        for value in values:
            run = run + 1 if name.startswith("normalized_loss") and not value <= LIMIT else 0
            longest = max(longest, run)
        self._runs[name] = run
        bad = np.flatnonzero(~np.isfinite(values))
        return SignalStatistics(
            minimum=finite.min() if len(finite) else math.nan,
            maximum=finite.max() if len(finite) else math.nan,
            at_minimum=int(np.flatnonzero(values == finite.min())[0]) + 1 if len(finite) else 0,
            at_maximum=int(np.flatnonzero(values == finite.max())[0]) + 1 if len(finite) else 0,
            mean=finite.mean() if len(finite) else math.nan,
            deviation=finite.std() if len(finite) else math.nan,
            finite=len(finite),
            nonfinite=len(bad),
            first_nonfinite=int(bad[0]) + 1 if len(bad) else 0,
            run=run,
            longest_run=longest,
        )

    def window(self, **series: list[float]) -> list[tuple[int, str, str]]:
        """One window; the names' double underscore stands for a slash. Returns the events as (step, kind, task or layer)."""
        signals = {
            name.replace("__", "/"): self.reading(name.replace("__", "/"), each) for name, each in series.items()
        }
        new = self.detector.observe_window(self.before, STEPS, signals)
        self.before += STEPS
        return [(event.step, event.kind, event.task or event.layer) for event in new]

    def tasks(self, **normalized_losses: list[float]) -> list[tuple[int, str, str]]:
        """One window of tasks whose losses are half of their normalized_loss."""
        series = {f"normalized_loss__{task}": each for task, each in normalized_losses.items()}
        return self.window(
            **series, **{f"loss__{task}": [e / 2 for e in each] for task, each in normalized_losses.items()}
        )

    def calm(self, count: int, *names: str) -> None:
        for i in range(count):
            self.tasks(**{name: noise(i) for name in names or ("a", "b", "c")})


def noise(seed: int, mean: float = 0.9, deviation: float = 0.01) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, deviation, STEPS))


def test_a_calm_series_brings_nothing():
    log = Log()
    log.calm(40)
    assert (log.detector.events, log.detector.verdict, log.detector.health) == ([], "healthy", "healthy")


def test_out_of_range_for_the_patience_is_full_and_each_step_is_right():
    log = Log(patience_steps=28)
    log.calm(6)
    first = log.tasks(a=noise(0)[:5] + [9.0] * 11, b=noise(1), c=noise(2))
    assert first == [(6 * STEPS + 6, "out_of_range", "a")]
    assert log.detector.health == "out_of_range"
    assert log.tasks(a=[9.0] * STEPS, b=noise(1), c=noise(2)) == []
    assert log.tasks(a=[9.0] * STEPS, b=noise(1), c=noise(2)) == [(9 * STEPS, "full_divergence", "a")]
    assert f"out of range since step {6 * STEPS + 6}" in log.detector.events[-1].evidence
    assert (log.detector.verdict, log.detector.out_of_range_since) == ("full", 6 * STEPS + 6)


def test_back_in_range_is_who_stayed_there_for_a_whole_window():
    log = Log()
    log.calm(6)
    log.tasks(a=[9.0] * 8 + noise(0)[:8], b=noise(1), c=noise(2))
    assert log.detector.health == "out_of_range"
    assert log.tasks(a=noise(3), b=noise(1), c=noise(2)) == [(8 * STEPS, "micro_divergence", "a")]
    assert (log.detector.verdict, log.detector.health) == ("micro", "healthy")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_for_long_is_full(value):
    log = Log()
    log.calm(6)
    assert log.tasks(a=[value] * STEPS, b=noise(1), c=noise(2)) == [(6 * STEPS + 1, "out_of_range", "a")]
    assert "the loss is not finite" in log.detector.events[0].evidence
    assert (8 * STEPS, "full_divergence", "a") in log.tasks(a=[value] * STEPS, b=noise(1), c=noise(2))


def test_one_step_that_is_not_finite_is_a_spike_and_poisons_nothing():
    log = Log()
    log.calm(6)
    assert log.tasks(a=[*noise(0)[:3], math.nan, *noise(0)[4:]], b=noise(1), c=noise(2)) == [
        (6 * STEPS + 4, "spike", "a")
    ]
    log.calm(3)
    assert log.tasks(a=[*noise(0)[:3], 1.5, *noise(0)[4:]], b=noise(1), c=noise(2)) == [(10 * STEPS + 4, "spike", "a")]


def test_a_spike_is_told_in_units_of_the_constants_loss():
    log = Log()
    log.calm(6)
    log.tasks(a=[*noise(0)[:9], 1.4, *noise(0)[10:]], b=noise(1), c=noise(2))
    [event] = log.detector.events
    assert (event.step, event.task) == (6 * STEPS + 10, "a")
    assert event.evidence.startswith("the loss is 1.4 times that of a constant prediction, usually 0.")


def test_a_loss_that_the_labels_explain_is_told_as_that_and_raises_no_alarm():
    log = Log()
    log.calm(6)
    log.window(normalized_loss__a=noise(0), loss__a=[0.45] * 7 + [30.0] + [0.45] * 8)
    [event] = log.detector.events
    assert (event.step, event.kind) == (6 * STEPS + 8, "spike")
    assert event.evidence.endswith("the labels of the batch are")
    assert set(log.detector.compute_alarm_thresholds()) == {
        "normalized_loss/a",
        "normalized_loss/b",
        "normalized_loss/c",
    }
    assert all(0.9 < threshold <= LIMIT for threshold in log.detector.compute_alarm_thresholds().values())


def test_most_tasks_that_lose_their_skill_have_left_their_range():
    log = Log(patience_steps=28)
    log.calm(6)
    gone = {task: noise(i, 1.0, 0.001) for i, task in enumerate("ab")}
    assert log.tasks(**gone, c=noise(5)) == [(6 * STEPS + 1, "out_of_range", task) for task in "ab"]
    later = log.tasks(**{task: [1.001] * STEPS for task in "ab"}, c=noise(5))
    assert later == [(8 * STEPS, "full_divergence", task) for task in "ab"]


def test_one_task_whose_labels_became_hard_is_no_divergence():
    log = Log()
    log.calm(6)
    for i in range(10):
        log.tasks(a=noise(i, 1.0, 0.001), b=noise(i), c=noise(i))
    assert {event.kind for event in log.detector.events} <= {"spike"}
    assert log.detector.verdict == "healthy"


def test_a_model_that_has_yet_to_learn_is_given_time():
    log = Log()
    for i in range(10):
        assert log.tasks(a=noise(i, 5.0 - 0.3 * i, 0.01)) == []
    log.calm(4, "a")
    assert log.detector.verdict == "healthy"


def test_a_model_that_moves_away_from_the_beginning_is_not():
    log = Log()
    log.tasks(a=noise(0, 5.0))
    log.tasks(a=noise(0, 80.0))
    log.tasks(a=noise(0, 900.0))
    assert log.detector.verdict == "full"


def test_where_no_constant_is_known_growth_counts():
    log = Log()
    for i in range(6):
        log.window(loss=noise(i))
    assert log.window(loss=noise(0, 20.0)) == [(6 * STEPS + 1, "out_of_range", "")]
    assert log.window(loss=noise(0, 20.0)) == [(8 * STEPS, "full_divergence", "")]


def test_the_first_layer_that_is_not_finite_is_named_once():
    log = Log()
    series = {"activation__one": [1.0] * STEPS, "activation__two": [1.0] * 4 + [math.nan] * 12}
    assert log.window(**series, activation__three=[1.0] * 4 + [math.nan] * 12) == [(5, "nonfinite_values", "two")]
    assert log.window(**series, activation__three=[math.nan] * STEPS) == []


def test_a_dead_layer_is_told_once_until_it_lives_again():
    log = Log()
    assert log.window(dead_units__one=[0.97] * STEPS) == [(STEPS, "dead_layer", "one")]
    assert log.window(dead_units__one=[0.94] * STEPS) == []
    assert log.window(dead_units__one=[0.97] * STEPS) == []
    assert log.window(dead_units__one=[0.5] * STEPS) == []
    assert log.window(dead_units__one=[0.99] * STEPS) == [(5 * STEPS, "dead_layer", "one")]
    assert log.detector.verdict == "healthy"


def test_a_layer_that_is_all_but_stopped_for_long_is_over_clipped():
    detector = Detector(patience=3)
    told = []
    for i in range(1, 6):
        told += detector.observe_metrics(32 * i, {"clipping_factor_last/one": 0.01, "clipped_steps/one": 31})
    assert [(event.step, event.kind, event.layer) for event in told] == [(96, "over_clipping", "one")]
    for often, factor in ((10, 0.01), (31, 0.5)):
        calm = Detector(patience=3)
        for i in range(1, 6):
            assert not calm.observe_metrics(32 * i, {"clipping_factor_last/one": factor, "clipped_steps/one": often})


def test_after_a_rollback_nothing_is_out_of_range_and_the_events_stay():
    log = Log()
    log.calm(6)
    for _ in range(3):
        log.tasks(a=[9.0] * STEPS, b=noise(1), c=noise(2))
    assert log.detector.verdict == "full"
    log.detector.reset_after_rollback()
    assert (log.detector.verdict, log.detector.health, log.detector.out_of_range_since) == ("micro", "healthy", None)
    assert [event.kind for event in log.detector.events] == ["out_of_range", "full_divergence"]


SERIES = st.lists(
    st.one_of(st.floats(0.0, 3.0), st.sampled_from([math.nan, math.inf, 1e30])), min_size=STEPS, max_size=STEPS
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(SERIES, SERIES), max_size=12), st.integers(0, 12))
def test_no_series_breaks_it_and_a_state_goes_on_like_the_original(windows, cut):
    whole, first, second = Log(), Log(), Log()
    for a, b in windows:
        whole.tasks(a=a, b=b)
    for a, b in windows[:cut]:
        first.tasks(a=a, b=b)
    second.detector.set_state(json.loads(json.dumps(first.detector.get_state())))
    second.before, second._runs = first.before, first._runs
    for a, b in windows[cut:]:
        second.tasks(a=a, b=b)
    assert second.detector.events == whole.detector.events
    assert second.detector.verdict == whole.detector.verdict

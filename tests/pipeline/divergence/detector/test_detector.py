"""The whole detector: events from windows and publications, and robustness against any series."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import Detector, Event, Thresholds, WindowStatistics
from tests.pipeline.divergence.signals import (
    LOSS_RATIO,
    STEPS,
    DetectorFeed,
    make_feature_windows,
    make_noise,
    summarize,
)


def make_publication(auc: float = 0.75, loss: float = 0.45, **more: float) -> dict[str, float]:
    """A publication of one binary task with 20% positives; a constant prediction has the loss 0.500."""
    return {
        "loss": loss,
        "loss/click": loss,
        "auc/click": auc,
        "label_mean/click": 0.2,
        "examples/click": 32768.0,
    } | more


def make_regression(rmse: float, deviation: float = 2.0) -> dict[str, float]:
    return {"loss/time": rmse**2, "rmse/time": rmse, "rmse_of_mean/time": deviation, "examples/time": 32768.0}


def observe_all(publications, **thresholds) -> Detector:
    detector = Detector(Thresholds(**thresholds))
    for i, metrics in enumerate(publications):
        detector.observe_metrics(32 * (i + 1), metrics)
    return detector


def list_kinds(detector: Detector) -> list[tuple[int, str]]:
    return [(event.step, event.kind) for event in detector.events]


class TestPublications:
    def test_a_run_that_learns_is_healthy(self):
        detector = observe_all([make_publication(0.5 + 0.03 * min(i, 8), 0.5 - 0.005 * i) for i in range(20)])
        assert (detector.verdict, detector.events) == ("healthy", [])

    def test_a_loss_that_stays_high_is_a_full_divergence_after_the_patience(self):
        publications = [make_publication()] * 4 + [make_publication(0.6, 3.0)] * 3
        detector = observe_all(publications, patience_publications=3)
        assert list_kinds(detector) == [(160, "out_of_range"), (224, "full_divergence")]
        assert detector.verdict == "full"
        first, full = detector.events
        assert first.evidence == "loss 3 (a constant prediction: 0.5)"
        assert first.values == {"loss": 3.0, "normalized_loss": pytest.approx(3.0 / 0.5004, rel=1e-4)}
        assert full.evidence == f"out of range since step 160: {first.evidence}"
        assert full.values == {**first.values, "since": 160.0}

    def test_a_loss_that_returns_to_range_is_a_micro_divergence(self):
        publications = [make_publication()] * 4 + [make_publication(0.6, 3.0)] * 2 + [make_publication()]
        detector = observe_all(publications, patience_publications=3)
        assert list_kinds(detector) == [(160, "out_of_range"), (224, "micro_divergence")]
        assert detector.verdict == "micro"
        assert detector.events[-1].values == {"since": 160.0}

    def test_dead_units_are_found_even_if_the_loss_equals_a_constant_prediction(self):
        publications = [make_publication(0.75)] * 4 + [make_publication(0.5, 0.5004)] * 3
        detector = observe_all(publications, patience_publications=3)
        assert detector.verdict == "full"
        assert detector.events[0].evidence.startswith("AUC 0.500 (was 0.7")

    def test_a_sinking_auc_is_no_divergence(self):
        assert observe_all([make_publication(0.75)] * 4 + [make_publication(0.62, 0.48)] * 10).verdict == "healthy"

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_is_out_of_range_and_is_not_remembered(self, value):
        publications = [make_publication(), make_publication(0.5, value), make_publication(), make_publication()]
        detector = observe_all(publications)
        assert list_kinds(detector) == [(64, "out_of_range"), (96, "micro_divergence")]
        assert detector.events[0].evidence == "loss not finite"

    def test_a_loss_that_stays_not_finite_is_a_full_divergence(self):
        assert observe_all([make_publication()] + [make_publication(0.5, math.nan)] * 3).verdict == "full"

    def test_one_diverged_task_among_healthy_ones_is_named(self):
        publications = [make_publication() | make_regression(1.8)] * 3 + [
            make_publication() | make_regression(40.0)
        ] * 3
        detector = observe_all(publications)
        assert detector.verdict == "full"
        assert {event.task for event in detector.events} == {"time"}

    def test_a_shift_of_the_labels_is_no_alarm(self):
        # The loss and the labels grow a thousandfold. Compared with a constant prediction, the model is as good as before.
        shifted = make_publication(loss=700.0, **{"loss/click": 0.45}) | make_regression(60.0, deviation=64.0)
        assert observe_all([make_publication() | make_regression(1.8)] * 5 + [shifted] * 5).verdict == "healthy"

    def test_few_rows_raise_no_alarm(self):
        few = make_publication(0.49, 0.52, **{"examples/click": 40.0})
        assert observe_all([make_publication(0.6)] * 5 + [few] * 3).verdict == "healthy"

    def test_a_recovery_from_a_full_divergence_leaves_the_verdict_micro(self):
        publications = [make_publication(0.6, 3.0)] * 3 + [make_publication()]
        detector = observe_all(publications, patience_publications=2)
        assert [event.kind for event in detector.events] == ["out_of_range", "full_divergence", "recovery"]
        assert detector.verdict == "micro"

    def test_a_model_without_named_tasks_is_judged_by_its_loss(self):
        detector = observe_all([{"loss": 1.0}] + [{"loss": math.nan}] * 3)
        assert detector.verdict == "full"
        assert {event.task for event in detector.events} == {""}

    @given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(allow_nan=True, allow_infinity=True)), max_size=30))
    def test_no_series_breaks_the_detector_and_the_end_decides(self, series):
        publications = [make_publication(auc, loss) for auc, loss in series]
        assert observe_all(publications).verdict in ("healthy", "micro", "full")
        assert observe_all(publications + [make_publication(0.5, math.nan)] * 3).verdict == "full"


class TestFinalMetrics:
    def test_a_final_model_at_chance_has_diverged_whatever_its_loss(self):
        detector = Detector()
        detector.judge_final_metrics(640, make_publication(0.5005, 0.5004) | make_regression(2.0))
        assert (detector.verdict, [event.kind for event in detector.events]) == ("full", ["chance"])

    def test_one_task_that_learned_is_enough(self):
        detector = Detector()
        detector.judge_final_metrics(640, make_publication(0.5005, 0.5004) | make_regression(1.7))
        assert detector.verdict == "healthy"

    def test_out_of_range_on_held_out_data_is_full_at_once(self):
        detector = Detector()
        [event] = detector.judge_final_metrics(640, make_publication(0.7, 2.0))
        assert detector.verdict == "full"
        assert event.evidence.startswith("on held-out data: loss 2 ")
        assert event.values["held_out"] == 1.0


class TestWindows:
    def test_a_calm_series_brings_no_event(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(40)
        detector = feed.detector
        assert (detector.events, detector.verdict, detector.health) == ([], "healthy", "healthy")

    def test_a_divergence_is_full_after_the_patience_and_each_step_is_right(self):
        feed = DetectorFeed(patience_steps=28)
        feed.observe_calm_windows(6)
        calm = {"b": make_noise(1), "c": make_noise(2)}
        first = feed.observe_tasks(a=make_noise(0)[:5] + [9.0] * 11, **calm)
        assert first == [(6 * STEPS + 6, "out_of_range", "a")]
        assert feed.detector.health == "out_of_range"
        assert feed.observe_tasks(a=[9.0] * STEPS, **calm) == []
        assert feed.observe_tasks(a=[9.0] * STEPS, **calm) == [(9 * STEPS, "full_divergence", "a")]
        assert f"out of range since step {6 * STEPS + 6}" in feed.detector.events[-1].evidence
        assert (feed.detector.verdict, feed.detector.out_of_range_since) == ("full", 6 * STEPS + 6)

    def test_a_task_is_back_after_a_whole_window_in_range(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        feed.observe_tasks(a=[9.0] * 8 + make_noise(0)[:8], b=make_noise(1), c=make_noise(2))
        assert feed.detector.health == "out_of_range"
        events = feed.observe_tasks(a=make_noise(3), b=make_noise(1), c=make_noise(2))
        assert events == [(8 * STEPS, "micro_divergence", "a")]
        assert (feed.detector.verdict, feed.detector.health) == ("micro", "healthy")

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_for_long_is_a_full_divergence(self, value):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        calm = {"b": make_noise(1), "c": make_noise(2)}
        assert feed.observe_tasks(a=[value] * STEPS, **calm) == [(6 * STEPS + 1, "out_of_range", "a")]
        assert feed.detector.events[0].evidence == "loss not finite"
        assert (8 * STEPS, "full_divergence", "a") in feed.observe_tasks(a=[value] * STEPS, **calm)

    def test_one_step_that_is_not_finite_is_a_spike_and_does_not_hide_the_next(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        calm = {"b": make_noise(1), "c": make_noise(2)}
        noise = make_noise(0)
        events = feed.observe_tasks(a=[*noise[:3], math.nan, *noise[4:]], **calm)
        assert events == [(6 * STEPS + 4, "spike", "a")]
        feed.observe_calm_windows(3)
        events = feed.observe_tasks(a=[*noise[:3], 1.5, *noise[4:]], **calm)
        assert events == [(10 * STEPS + 4, "spike", "a")]

    def test_explained_spikes_raise_no_alarm(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        feed.observe(normalized_loss__a=make_noise(0), loss__a=[0.45] * 7 + [30.0] + [0.45] * 8)
        [event] = feed.detector.events
        assert (event.step, event.kind, event.values["explained"]) == (6 * STEPS + 8, "spike", 1.0)
        thresholds = feed.detector.compute_alarm_thresholds()
        assert set(thresholds) == {"normalized_loss/a", "normalized_loss/b", "normalized_loss/c"}
        assert all(0.9 < threshold <= LOSS_RATIO for threshold in thresholds.values())

    def test_tasks_are_out_of_range_if_most_of_them_lose_their_skill(self):
        feed = DetectorFeed(patience_steps=28)
        feed.observe_calm_windows(6)
        lost = {task: make_noise(i, 1.0, 0.001) for i, task in enumerate("ab")}
        events = feed.observe_tasks(**lost, c=make_noise(5))
        assert events == [(6 * STEPS + 1, "out_of_range", task) for task in "ab"]
        events = feed.observe_tasks(**{task: [1.001] * STEPS for task in "ab"}, c=make_noise(5))
        assert events == [(8 * STEPS, "full_divergence", task) for task in "ab"]

    def test_one_task_whose_labels_became_hard_to_predict_is_no_divergence(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        for i in range(10):
            feed.observe_tasks(a=make_noise(i, 1.0, 0.001), b=make_noise(i), c=make_noise(i))
        assert {event.kind for event in feed.detector.events} <= {"spike"}
        assert feed.detector.verdict == "healthy"

    def test_a_model_that_has_not_begun_to_learn_gets_extra_time(self):
        feed = DetectorFeed()
        for i in range(10):
            assert feed.observe_tasks(a=make_noise(i, 5.0 - 0.3 * i, 0.01)) == []
        feed.observe_calm_windows(4, "a")
        assert feed.detector.verdict == "healthy"

    def test_a_model_whose_loss_grows_from_the_start_gets_no_extra_time(self):
        feed = DetectorFeed()
        for i, mean in enumerate((5.0, 80.0, 900.0)):
            feed.observe_tasks(a=make_noise(i, mean))
        assert feed.detector.verdict == "full"

    def test_growth_counts_if_the_loss_of_a_constant_is_not_known(self):
        feed = DetectorFeed()
        for i in range(6):
            feed.observe(loss=make_noise(i))
        assert feed.observe(loss=make_noise(0, 20.0)) == [(6 * STEPS + 1, "out_of_range", "")]
        assert feed.observe(loss=make_noise(0, 20.0)) == [(8 * STEPS, "full_divergence", "")]

    def test_a_window_without_labels_for_a_task_brings_no_event(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        empty = dataclasses.replace(
            summarize([math.nan] * STEPS), nonfinite_count=0, first_nonfinite_step=0, run_length=0
        )
        empty = dataclasses.replace(empty, longest_run=0)
        window = WindowStatistics(STEPS, {"normalized_loss/a": empty, "loss/a": empty})
        assert feed.detector.observe_window(feed.before, window) == []
        assert feed.detector.health == "healthy"

    def test_the_sum_of_the_losses_is_not_judged_beside_the_tasks(self):
        feed = DetectorFeed()
        for seed in range(6):
            feed.observe(loss=make_noise(seed), loss__a=make_noise(seed))
        assert feed.observe(loss=make_noise(0, 90.0), loss__a=make_noise(0)) == []


class TestState:
    def test_after_a_rollback_nothing_is_out_of_range_and_the_events_stay(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        for _ in range(3):
            feed.observe_tasks(a=[9.0] * STEPS, b=make_noise(1), c=make_noise(2))
        detector = feed.detector
        assert detector.verdict == "full"
        detector.reset_after_rollback()
        assert (detector.verdict, detector.health, detector.out_of_range_since) == ("micro", "healthy", None)
        assert [event.kind for event in detector.events] == ["out_of_range", "full_divergence"]

    SERIES = st.lists(
        st.one_of(st.floats(0.0, 3.0), st.sampled_from([math.nan, math.inf, 1e30])), min_size=STEPS, max_size=STEPS
    )

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(SERIES, SERIES), max_size=12), st.integers(0, 12))
    def test_no_series_breaks_the_detector_and_a_restored_one_continues_identically(self, windows, cut):
        whole, first, second = DetectorFeed(), DetectorFeed(), DetectorFeed()
        for a, b in windows:
            whole.observe_tasks(a=a, b=b)
        for a, b in windows[:cut]:
            first.observe_tasks(a=a, b=b)
        second.detector.set_state(json.loads(json.dumps(first.detector.get_state())))
        second.before, second.runs = first.before, first.runs
        for a, b in windows[cut:]:
            second.observe_tasks(a=a, b=b)
        assert second.detector.events == whole.detector.events
        assert second.detector.verdict == whole.detector.verdict


class TestFeatures:
    def test_an_event_shortly_after_a_shift_names_the_feature(self):
        rng, detector = np.random.default_rng(0), Detector()

        def observe(before, mean, losses):
            [features] = make_feature_windows(rng, 1, mean=mean)
            signals = {name: summarize(values) for name, values in features.items()}
            signals["loss"] = signals["normalized_loss"] = summarize(losses, LOSS_RATIO)
            return detector.observe_window(before, WindowStatistics(STEPS, signals))

        for i in range(12):
            assert observe(STEPS * i, 2.0, rng.normal(0.9, 0.01, STEPS)) == []
        shift, divergence = observe(192, 30.0, [5.0] * STEPS)
        assert (shift.kind, shift.feature) == ("feature_shift", "age")
        assert (divergence.kind, divergence.feature) == ("out_of_range", "age")
        assert divergence.evidence.endswith("The feature age left its usual range at step 193.")
        assert str(shift).startswith("step 193 [age] feature shift: typical value ")
        restored = Detector()
        restored.set_state(json.loads(json.dumps(detector.get_state())))
        assert restored.get_state() == detector.get_state()

    def test_changed_data_are_no_divergence(self):
        rng, detector = np.random.default_rng(0), Detector()
        for i in range(14):
            [features] = make_feature_windows(rng, 1, mean=2.0 if i < 12 else 9.0)
            signals = {name: summarize(values) for name, values in features.items()}
            detector.observe_window(STEPS * i, WindowStatistics(STEPS, signals))
        assert [event.kind for event in detector.events] == ["feature_shift"]
        assert (detector.verdict, detector.health) == ("healthy", "healthy")


class TestSlowStart:
    """Losses far above a constant prediction."""

    @settings(max_examples=25, deadline=None)
    @given(st.floats(2.5, 1e4), st.floats(0.9, 0.99), st.floats(0.0, 0.3), st.integers(0, 9))
    def test_a_loss_that_falls_is_no_divergence(self, start, fall, noise, seed):
        rng, feed = np.random.default_rng(seed), DetectorFeed()
        for i in range(60):
            mean = max(start * fall**i, 0.8)
            feed.observe_tasks(a=list(mean * (1 + noise * rng.uniform(-1, 1, STEPS))))
        kinds = {event.kind for event in feed.detector.events}
        assert kinds <= {"spike"}

    @settings(max_examples=25, deadline=None)
    @given(st.floats(1e-6, 1e6), st.integers(0, 9))
    def test_the_unit_of_the_loss_changes_no_verdict(self, factor, seed):
        def observe(factor: float) -> list[tuple[int, str]]:
            rng, detector = np.random.default_rng(seed), Detector()
            for i in range(30):
                normalized_loss = (4.0 if i < 6 else 0.8 if i < 20 else 9.0) * rng.uniform(0.9, 1.1, STEPS)
                loss = factor * normalized_loss * rng.uniform(0.9, 1.1, STEPS)
                signals = {"loss": summarize(loss), "normalized_loss": summarize(normalized_loss, LOSS_RATIO, 16 * i)}
                detector.observe_window(STEPS * i, WindowStatistics(STEPS, signals))
            return list_kinds(detector)

        assert observe(factor) == observe(1.0)

    def test_while_the_learning_rate_rises_a_loss_may_stay(self):
        detector = Detector()
        for i in range(60):
            signals = {
                "loss": summarize([5.0] * STEPS),
                "normalized_loss": summarize([5.0] * STEPS, LOSS_RATIO, 16 * i),
            }
            detector.observe_window(STEPS * i, WindowStatistics(STEPS, signals), learning_rate=1e-5 * min(i + 1, 40))
        # The rate is at its highest after 640 steps. Then the patience of 160 steps begins.
        assert list_kinds(detector)[0] == (641, "out_of_range")

    def test_a_task_that_is_not_trained_yet_may_stay_while_another_learns(self):
        feed = DetectorFeed()
        for i in range(40):
            feed.observe_tasks(a=make_noise(i, 9.0), b=make_noise(i, 0.9))
        assert feed.detector.events == []


class TestWeights:
    def test_weights_that_are_not_finite_are_a_full_divergence_at_once(self):
        detector = Detector()
        [event] = detector.observe_weights(32, 20, ["a", "b", "c", "d", "e", "f"])
        assert str(event) == ("step 32 [a] full divergence: weights are not finite in 6 layers: a, b, c, d and 2 more")
        assert event.values == {"since": 20.0, "count": 6.0}
        assert (detector.verdict, detector.health, detector.out_of_range_since) == ("full", "full", 20)
        assert detector.observe_weights(48, 33, ["a"]) == []
        restored = Detector()
        restored.set_state(json.loads(json.dumps(detector.get_state())))
        assert (restored.verdict, restored.out_of_range_since) == ("full", 20)
        [event] = restored.observe_weights(64, 49, [])
        assert (event.kind, restored.verdict, restored.health) == ("recovery", "micro", "healthy")

    def test_the_losses_count_again_once_the_weights_are_finite(self):
        feed = DetectorFeed()
        feed.observe_calm_windows(6)
        feed.detector.observe_weights(96, 90, ["a"])
        assert feed.observe_tasks(a=[math.nan] * STEPS) == []
        feed.detector.observe_weights(112, 97, [])
        events = feed.observe_tasks(a=[math.nan] * STEPS)
        assert events == [(97, "out_of_range", "a"), (128, "full_divergence", "a")]


class TestLoggedLosses:
    def test_a_mean_over_the_epoch_has_no_spikes(self):
        feed = DetectorFeed()
        for seed in range(6):
            feed.observe(logged_loss__d=make_noise(seed))
        assert feed.observe(logged_loss__d=[0.9] * 8 + [3.0] * 8) == []
        assert feed.observe(logged_loss__d=[math.nan] * STEPS) == [(113, "out_of_range", "d")]
        assert feed.observe(logged_loss__d=[math.nan] * STEPS) == [(144, "full_divergence", "d")]

    def test_a_part_of_a_logged_loss_may_grow(self):
        # The KL term of a variational autoencoder grows from 0 to many times its start.
        feed = DetectorFeed()
        for i in range(12):
            assert (
                feed.observe(logged_loss=[9.0 - i / 4] * STEPS, logged_loss__kl=[1e-3 * 30 ** (i // 5)] * STEPS) == []
            )
        assert feed.observe(logged_loss=[900.0] * STEPS) == [(193, "out_of_range", "")]

    def test_a_loss_that_explodes_before_it_has_a_usual_value_is_out_of_range(self):
        feed = DetectorFeed()
        feed.observe(loss=make_noise(0))
        assert feed.observe(loss=[50.0] * STEPS) == []
        assert feed.observe(loss=[1e4] * STEPS) == [(33, "out_of_range", "")]

    def test_a_number_that_was_never_finite_is_ignored(self):
        feed = DetectorFeed()
        for _ in range(4):
            assert feed.observe(logged_value__r2=[math.nan] * STEPS, logged_value__mae=make_noise(0)) == []
        assert feed.observe(logged_value__mae=[math.nan] * STEPS) == [(65, "out_of_range", "mae")]

    def test_a_part_of_the_loss_that_no_task_has_counts_if_it_is_not_finite(self):
        feed = DetectorFeed()
        for seed in range(6):
            feed.observe(loss=make_noise(seed), loss__a=make_noise(seed))
        assert feed.observe(loss=[math.nan] * STEPS, loss__a=make_noise(0)) == [(97, "out_of_range", "")]


def test_events_are_in_the_order_of_their_steps():
    detector = Detector()
    for step in (40, 20, 30):
        detector.record(Event(step, "rollback", "", ""))
    assert [event.step for event in detector.events] == [20, 30, 40]

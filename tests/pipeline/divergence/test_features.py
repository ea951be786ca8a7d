"""Which feature did it: what is measured of a batch's inputs, and when a feature has left its usual range."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import Detector, DivergenceMonitor, SignalStatistics
from steadyrank.pipeline.divergence import keras3 as for_keras3
from steadyrank.pipeline.divergence.features import batch_statistics
from steadyrank.pipeline.divergence.probes import area_under_curve
from steadyrank.pipeline.divergence.shifts import Shifts

KERAS = {"keras2": (tf_keras, DivergenceMonitor), "keras3": (keras, for_keras3.DivergenceMonitor)}


def measured(inputs, names=None) -> dict[str, float]:
    return {name: float(value) for name, value in batch_statistics(inputs, names).items()}


def logged(x):
    return np.sign(x) * np.log1p(np.abs(x))


class TestWhatIsMeasured:
    def test_numbers_equal_the_same_by_hand(self):
        rng = np.random.default_rng(0)
        age, dense = rng.normal(size=32) * 40, rng.pareto(1.0, size=(32, 3))
        told = measured({"age": tf.constant(age), "dense": tf.constant(dense)})
        for name, column in {"age": age, "dense[0]": dense[:, 0], "dense[2]": dense[:, 2]}.items():
            assert told[f"feature/{name}"] == pytest.approx(logged(column).mean(), rel=1e-4)
            assert told[f"spread/{name}"] == pytest.approx(logged(column).std(), rel=1e-4)
            assert told[f"missing/{name}"] == 0
        assert len(told) == 12

    def test_values_that_are_not_finite_count_as_missing_and_in_nothing_else(self):
        column = np.array([1.0, np.nan, 3.0, np.inf], np.float32)
        told = measured({"x": tf.constant(column)})
        assert told["missing/x"] == 0.5
        assert told["feature/x"] == pytest.approx(logged(np.array([1.0, 3.0])).mean(), rel=1e-5)
        assert told["spread/x"] == pytest.approx(logged(np.array([1.0, 3.0])).std(), rel=1e-5)
        nothing = measured({"x": tf.constant([np.nan, np.nan], tf.float32)})
        assert (nothing["feature/x"], nothing["spread/x"], nothing["missing/x"]) == (0, 0, 1)

    @pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "string"])
    def test_ids_that_are_all_the_same_have_no_spread_and_many_have_that_of_chance(self, dtype):
        def ids(values):
            return tf.strings.as_string(values) if dtype == "string" else tf.cast(values, dtype)

        told = measured({"many": ids(tf.range(200)), "one": ids(tf.fill([200], 7))})
        assert told["spread/one"] == pytest.approx(0, abs=1e-6)
        assert told["feature/many"] == pytest.approx(0.5, abs=0.1)
        assert told["spread/many"] == pytest.approx(np.sqrt(1 / 12), abs=0.05)
        assert "missing/one" not in told

    def test_other_ids_have_another_mean(self):
        # One hash sees almost any change, not every one.
        ids = np.random.default_rng(1).zipf(1.5, 1000)
        means = [measured({"a": tf.constant(ids + other)})["feature/a"] for other in range(0, 10**6, 50_000)]
        apart = np.abs(np.subtract.outer(means, means))[np.triu_indices(len(means), 1)]
        assert np.mean(apart > 0.02) > 0.8

    def test_what_comes_in(self):
        x = tf.zeros([8, 2])
        assert set(measured(x)) == {f"{kind}/x[{i}]" for kind in ("feature", "spread", "missing") for i in range(2)}
        assert set(measured([tf.zeros([8]), tf.zeros([4], tf.int64)])) == {
            *(f"{kind}/x0" for kind in ("feature", "spread", "missing")),
            "feature/x1",
            "spread/x1",
        }
        # Wide ones are one feature; labels beside the features are none; bags may be ragged or sparse.
        assert len(measured({"wide": tf.zeros([8, 65]), "label": tf.zeros([8])}, ["wide"])) == 3
        assert len(measured({"bag": tf.ragged.constant([[1, 2], [3]]), "set": tf.sparse.eye(3)})) == 5
        assert measured({"nested": {"deep": x}, "scalar": tf.constant(1.0)}) == {}

    def test_batches_of_unknown_size_are_measured(self):
        traced = tf.function(lambda inputs: batch_statistics(inputs)).get_concrete_function(
            {"a": tf.TensorSpec([None]), "b": tf.TensorSpec([None, 2]), "c": tf.TensorSpec([None], tf.string)}
        )
        told = traced({"a": tf.ones([3]), "b": tf.ones([3, 2]), "c": tf.constant(["x", "x", "x"])})
        assert len(told) == 11


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40))
def test_the_area_is_the_share_of_pairs_that_are_ranked_right(rows):
    labels, scores = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    up, down = scores[labels == 1][:, None], scores[labels == 0]
    expected = (up > down).mean() + (up == down).mean() / 2 if up.size and down.size else 0.5
    assert float(area_under_curve(tf.constant(labels), tf.constant(scores))) == pytest.approx(expected, abs=1e-6)


def window(values) -> SignalStatistics:
    values = np.asarray(values, float)
    return SignalStatistics(
        minimum=values.min(),
        maximum=values.max(),
        at_minimum=int(values.argmin()) + 1,
        at_maximum=int(values.argmax()) + 1,
        mean=values.mean(),
        deviation=values.std(),
        finite=len(values),
        nonfinite=0,
        first_nonfinite=0,
        run=0,
        longest_run=0,
    )


def windows_of(rng, count: int, *, mean: float = 2.0, spread: float = 1.0, steps: int = 16, rows: int = 256):
    """Windows of a feature whose values are normal with that mean and spread."""
    for _ in range(count):
        batches = rng.normal(mean, spread, size=(steps, rows))
        yield {
            "feature/age": batches.mean(axis=1),
            "spread/age": batches.std(axis=1),
            "missing/age": np.zeros(steps),
        }


def judged(shifts: Shifts, windows, before: int = 0):
    found = []
    for given_window in windows:
        signals = {name: window(values) for name, values in given_window.items()}
        found += shifts.judge(before, signals)
        before += 16
    return found


class TestWhatIsUsual:
    def test_nothing_happens_while_nothing_changes(self):
        for seed in range(20):
            assert judged(Shifts(), windows_of(np.random.default_rng(seed), 100)) == []

    def test_another_mean_is_told_once_with_its_window_and_is_usual_after_a_while(self):
        rng, shifts = np.random.default_rng(0), Shifts()
        judged(shifts, windows_of(rng, 12))
        found = judged(shifts, windows_of(rng, 40, mean=3.0), before=192)
        assert [(shift.feature, shift.step) for shift in found] == [("age", 193)]
        assert "its typical value is" in found[0].evidence
        again = judged(shifts, windows_of(rng, 3, mean=2.0), before=832)
        assert [shift.step for shift in again] == [833]

    def test_more_spread_is_told(self):
        rng, shifts = np.random.default_rng(0), Shifts()
        judged(shifts, windows_of(rng, 12))
        [found] = judged(shifts, windows_of(rng, 2, spread=2.0), before=192)
        assert found.step == 193
        assert "times as much as usual" in found.evidence

    @pytest.mark.parametrize("signal", ["feature/age", "spread/age", "missing/age"])
    def test_a_single_step_is_told_with_its_place(self, signal):
        rng, shifts = np.random.default_rng(0), Shifts()
        judged(shifts, windows_of(rng, 12))
        [odd] = windows_of(rng, 1)
        odd[signal][6] += 0.9
        [found] = judged(shifts, [odd], before=192)
        assert found.step == 199
        assert found.evidence.endswith("in a single step")

    def test_a_change_that_is_sure_but_small_is_none(self):
        rng, shifts = np.random.default_rng(0), Shifts()
        judged(shifts, windows_of(rng, 12, rows=100_000))
        assert judged(shifts, windows_of(rng, 12, mean=2.1, rows=100_000), before=192) == []

    def test_a_constant_that_changes_is_told(self):
        shifts = Shifts()
        constant = {"feature/age": np.zeros(16), "spread/age": np.zeros(16), "missing/age": np.zeros(16)}
        judged(shifts, [constant] * 12)
        [found] = judged(shifts, windows_of(np.random.default_rng(0), 1), before=192)
        assert found.step == 193

    def test_the_state_goes_on(self):
        rng, shifts, restored = np.random.default_rng(0), Shifts(), Shifts()
        judged(shifts, windows_of(rng, 12))
        judged(shifts, windows_of(rng, 3, mean=4.0), before=192)
        restored.set_state(json.loads(json.dumps(shifts.get_state())))
        rest = list(windows_of(rng, 30, mean=2.5))
        assert judged(restored, rest, before=240) == judged(shifts, rest, before=240)
        assert restored.get_state() == shifts.get_state()


class TestDetector:
    def test_what_goes_wrong_shortly_after_names_the_feature(self):
        rng, detector = np.random.default_rng(0), Detector()

        def show(before, mean, losses):
            [features] = windows_of(rng, 1, mean=mean)
            signals = {name: window(values) for name, values in features.items()}
            normalized_loss = window(losses)
            limit = int((np.asarray(losses) > 2).sum())
            signals["loss"] = signals["normalized_loss"] = dataclasses.replace(
                normalized_loss, run=limit, longest_run=limit
            )
            return detector.observe_window(before, 16, signals)

        for i in range(12):
            assert show(16 * i, 2.0, rng.normal(0.9, 0.01, 16)) == []
        new = show(192, 30.0, [5.0] * 16)
        assert [(event.kind, event.feature) for event in new] == [("feature_shift", "age"), ("out_of_range", "age")]
        assert new[1].evidence.endswith("age had left its usual range at step 193")
        assert "feature_shift of age" in str(new[0])
        restored = Detector()
        restored.set_state(json.loads(json.dumps(detector.get_state())))
        assert restored.get_state() == detector.get_state()

    def test_data_that_change_are_no_divergence(self):
        rng, detector = np.random.default_rng(0), Detector()
        for i in range(14):
            [features] = windows_of(rng, 1, mean=2.0 if i < 12 else 9.0)
            detector.observe_window(16 * i, 16, {name: window(values) for name, values in features.items()})
        assert [event.kind for event in detector.events] == ["feature_shift"]
        assert (detector.verdict, detector.health) == ("healthy", "healthy")


@pytest.mark.parametrize("which", KERAS)
@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 8}, {"jit_compile": True}])
def test_a_feature_of_somebody_elses_model_is_named(which, compiled):
    k, monitor_class = KERAS[which]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160 * 16, 4)).astype(np.float32)
    x[100 * 16 : 101 * 16, 2] *= 1e6
    k.utils.set_random_seed(0)
    model = k.Sequential([k.layers.Dense(1)])
    model.compile(k.optimizers.SGD(1e-6), "mse", **compiled)
    monitor = monitor_class(every=8)
    model.fit(x, x[:, 0], batch_size=16, shuffle=False, verbose=0, callbacks=[monitor])
    shifts = [(event.step, event.feature) for event in monitor.events if event.kind == "feature_shift"]
    assert shifts == [(101, "x[2]")]
    assert any(event.kind == "spike" and event.feature == "x[2]" for event in monitor.events)

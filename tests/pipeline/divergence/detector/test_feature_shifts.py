"""Detection of features that leave their usual range."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from steadyrank.pipeline.divergence.detector.feature_shifts import FeatureShiftDetector, Shift
from tests.pipeline.divergence.signals import STEPS, make_feature_windows, summarize


def observe_all(detector: FeatureShiftDetector, windows, before: int = 0) -> list[Shift]:
    shifts = []
    for series in windows:
        shifts += detector.observe_window(before, {name: summarize(values) for name, values in series.items()})
        before += STEPS
    return shifts


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def detector(rng) -> FeatureShiftDetector:
    """A detector that knows the feature, 12 windows or 192 steps old."""
    detector = FeatureShiftDetector()
    observe_all(detector, make_feature_windows(rng, 12))
    return detector


def test_nothing_shifts_while_nothing_changes():
    for seed in range(20):
        assert observe_all(FeatureShiftDetector(), make_feature_windows(np.random.default_rng(seed), 100)) == []


def test_a_new_mean_is_reported_once_and_becomes_usual(detector, rng):
    [shift] = observe_all(detector, make_feature_windows(rng, 40, mean=3.0), before=192)
    assert (shift.feature, shift.step) == ("age", 193)
    assert shift.size > 1
    # The values are logarithms; the evidence has the numbers themselves.
    assert shift.evidence.text.startswith("typical value 19")
    assert "(usual 6.3" in shift.evidence.text
    assert shift.evidence.values == pytest.approx({"value": math.expm1(3.0), "usual": math.expm1(2.0)}, rel=0.1)
    [back] = observe_all(detector, make_feature_windows(rng, 3, mean=2.0), before=832)
    assert back.step == 833


def test_a_feature_that_returns_may_shift_again(detector, rng):
    for before in (192, 400):
        assert len(observe_all(detector, make_feature_windows(rng, 2, mean=4.0), before)) == 1
        assert observe_all(detector, make_feature_windows(rng, 4), before) == []


def test_more_spread_is_reported(detector, rng):
    [shift] = observe_all(detector, make_feature_windows(rng, 2, spread=2.0), before=192)
    assert shift.step == 193
    assert shift.evidence.text.startswith("the spread of the values is 2 times the usual")


@pytest.mark.parametrize("signal", ["feature/age", "spread/age", "missing/age"])
def test_a_single_step_is_reported_with_its_step(detector, rng, signal):
    [series] = make_feature_windows(rng, 1)
    series[signal][6] += 0.9
    [shift] = observe_all(detector, [series], before=192)
    assert shift.step == 199
    assert shift.evidence.text.endswith(", in a single step")


def test_the_first_missing_values_are_reported(detector, rng):
    [series] = make_feature_windows(rng, 1)
    series["missing/age"][:] = 0.02
    [shift] = observe_all(detector, [series], before=192)
    assert shift.evidence.text == "2.0% of the values are not finite (usual 0%)"


def test_a_change_that_is_certain_but_small_is_no_shift(rng):
    detector = FeatureShiftDetector()
    observe_all(detector, make_feature_windows(rng, 12, rows=100_000))
    assert observe_all(detector, make_feature_windows(rng, 12, mean=2.1, rows=100_000), before=192) == []


def test_a_constant_that_begins_to_vary_is_reported(rng):
    detector = FeatureShiftDetector()
    constant = {f"{kind}/age": np.zeros(STEPS) for kind in ("feature", "spread", "missing")}
    observe_all(detector, [constant] * 12)
    [shift] = observe_all(detector, make_feature_windows(rng, 1), before=192)
    assert shift.step == 193


def test_ids_are_described_without_their_hashes():
    detector = FeatureShiftDetector()
    usual = {"feature/user": np.full(STEPS, 0.5), "spread/user": np.full(STEPS, 0.3)}
    observe_all(detector, [usual] * 12)
    [shift] = observe_all(detector, [usual | {"feature/user": np.full(STEPS, 0.9)}], before=192)
    assert shift.evidence.text == "unusual ids, or one id far more often than usual"


def test_the_feature_that_moved_furthest_comes_first(detector):
    names = [f"{kind}/{name}" for name in ("near", "far") for kind in ("feature", "spread", "missing")]
    usual = {name: np.full(STEPS, 1.0 if name.startswith("spread") else 0.0) for name in names}
    observe_all(detector, [usual] * 12)
    changed = usual | {"feature/near": np.full(STEPS, 1.0), "feature/far": np.full(STEPS, 5.0)}
    assert [shift.feature for shift in observe_all(detector, [changed])] == ["far", "near"]


def test_a_restored_detector_continues_identically(detector, rng):
    observe_all(detector, make_feature_windows(rng, 3, mean=4.0), before=192)
    restored = FeatureShiftDetector()
    restored.set_state(json.loads(json.dumps(detector.get_state())))
    remaining_windows = list(make_feature_windows(rng, 30, mean=2.5))
    assert observe_all(restored, remaining_windows, before=240) == observe_all(detector, remaining_windows, before=240)
    assert restored.get_state() == detector.get_state()

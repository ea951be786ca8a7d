"""Layers that are not finite, dead or over-clipped: each is reported once, until it recovers."""

from __future__ import annotations

import json
import math

import pytest

from steadyrank.pipeline.divergence import Thresholds
from steadyrank.pipeline.divergence.detector.layer_checks import LayerChecks
from tests.pipeline.divergence.signals import STEPS, summarize


def make_checks() -> LayerChecks:
    return LayerChecks(Thresholds())


def find_dead(checks: LayerChecks, share: float) -> list:
    return checks.find_dead(STEPS, {"dead_units/one": summarize([share] * STEPS)})


def test_the_first_layer_that_is_not_finite_is_named_once():
    checks = make_checks()
    broken = summarize([1.0] * 4 + [math.nan] * 12)
    signals = {"activation/one": summarize([1.0] * STEPS), "activation/two": broken, "activation/three": broken}
    [event] = checks.find_nonfinite(32, signals)
    assert (event.step, event.kind, event.layer) == (37, "nonfinite_values", "two")
    assert checks.find_nonfinite(48, signals) == []


def test_a_layer_that_breaks_again_is_named_again():
    checks = make_checks()
    for _ in range(2):
        assert len(checks.find_nonfinite(0, {"activation/one": summarize([math.nan] * STEPS)})) == 1
        assert checks.find_nonfinite(0, {"activation/one": summarize([1.0] * STEPS)}) == []


def test_a_dead_layer_is_reported_once_until_it_recovers():
    checks = make_checks()
    [event] = find_dead(checks, 0.97)
    assert (event.step, event.kind, event.layer) == (STEPS, "dead_layer", "one")
    assert event.evidence == "97% of the units are 0 for every row of every batch"
    assert event.values == {"dead_share": 0.97}
    # Just below the threshold it has not recovered.
    assert [len(find_dead(checks, share)) for share in (0.94, 0.97, 0.5, 0.99)] == [0, 0, 0, 1]


def test_a_layer_that_is_almost_stopped_for_a_long_time_is_over_clipped():
    checks = make_checks()
    metrics = {"clipping_factor_last/one": 0.01, "clipped_steps/one": 31}
    events = [event for i in range(1, 6) for event in checks.find_over_clipped(32 * i, 32, metrics)]
    assert [(event.step, event.kind, event.layer) for event in events] == [(96, "over_clipping", "one")]
    assert events[0].values == {"clipping_factor": 0.01, "count": 3.0}


@pytest.mark.parametrize(("clipped_steps", "factor"), [(10, 0.01), (31, 0.5)])
def test_a_layer_that_is_clipped_rarely_or_little_is_not_over_clipped(clipped_steps, factor):
    checks = make_checks()
    metrics = {"clipping_factor_last/one": factor, "clipped_steps/one": clipped_steps}
    assert not [event for i in range(1, 6) for event in checks.find_over_clipped(32 * i, 32, metrics)]


def test_a_restored_state_and_a_reset():
    checks, restored = make_checks(), make_checks()
    find_dead(checks, 0.97)
    restored.set_state(json.loads(json.dumps(checks.get_state())))
    assert find_dead(restored, 0.97) == []
    restored.reset()
    assert len(find_dead(restored, 0.97)) == 1

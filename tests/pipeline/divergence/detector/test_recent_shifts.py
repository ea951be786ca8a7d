"""Explanation of events by earlier feature shifts."""

from __future__ import annotations

import json

import pytest

from steadyrank.pipeline.divergence.detector.feature_shifts import Shift
from steadyrank.pipeline.divergence.detector.recent_shifts import RecentShifts
from steadyrank.pipeline.divergence.event import Event, Evidence


def make_shifts(count: int, step: int = 193) -> list[Shift]:
    evidence = Evidence.of("typical value 9 (usual 2)", value=9.0, usual=2.0)
    return [Shift(f"f{i}", step, 2.0, evidence) for i in range(count)]


def test_one_event_names_the_features_of_a_window():
    [event] = RecentShifts().add(make_shifts(8))
    assert (event.step, event.kind, event.feature) == (193, "feature_shift", "f0")
    assert event.evidence == "typical value 9 (usual 2); also f1, f2, f3, f4, f5 and 2 more"
    assert event.values == {"value": 9.0, "usual": 2.0, "count": 8.0}


def test_no_shift_is_no_event():
    assert RecentShifts().add([]) == []


@pytest.mark.parametrize(("start_step", "feature"), [(192, ""), (193, "f0"), (257, "f0"), (258, "")])
def test_a_shift_explains_events_that_begin_within_64_steps(start_step, feature):
    shifts = RecentShifts()
    shifts.add(make_shifts(1))
    restored = RecentShifts()
    restored.set_state(json.loads(json.dumps(shifts.get_state())))
    assert restored.explain(Event(start_step, "spike", "click", "loss 9"), start_step).feature == feature

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting.incidents import happenings, incidents, spikes


def event(step, kind, task="", evidence="", layer="") -> dict:
    return {"step": step, "kind": kind, "task": task, "evidence": evidence, "layer": layer}


def found(*events, end=1000):
    return incidents(happenings(events), end)


def test_what_befalls_many_tasks_at_one_time_is_one_incident():
    (one,) = found(
        event(272, "out_of_range", "share"),
        event(257, "out_of_range", "click"),
        event(257, "out_of_range", "like"),
        event(288, "full_divergence", "click"),
        event(288, "full_divergence", "like"),
        end=288,
    )
    assert (one.first, one.last, one.severity) == (257, 288, "full")
    assert one.tasks == ("click", "like", "share"), "by step, and those of one step as recorded"
    assert set(one.away) == {"click", "like", "share"}
    assert [e.step for e in one.of("full_divergence")] == [288, 288]


@pytest.mark.parametrize(("second", "number_of"), [(142, 1), (143, 2)])
def test_a_task_is_away_until_it_comes_back_and_then_incidents_are_apart(second, number_of):
    events = [
        event(10, "out_of_range", "a"),
        event(110, "micro_divergence", "a"),
        event(second, "out_of_range", "b"),
        event(200, "micro_divergence", "b"),
    ]
    got = found(*events)
    assert len(got) == number_of
    assert all(one.away == () and one.severity == "range" for one in got)


def test_times_that_overlap_are_one_even_when_their_events_are_far_apart():
    (one,) = found(
        event(10, "out_of_range", "a"),
        event(500, "out_of_range", "b"),
        event(510, "micro_divergence", "b"),
        event(900, "recovery", "a"),
    )
    assert (one.first, one.last) == (10, 900)


def test_a_rollback_brings_every_task_back():
    first, second = found(
        event(100, "out_of_range", "a"),
        event(130, "full_divergence", "a"),
        event(100, "out_of_range", "b"),
        event(130, "rollback"),
        event(400, "out_of_range", "a"),
    )
    assert (first.last, first.away, first.severity) == (130, (), "full")
    assert (second.first, second.last, second.away, second.severity) == (400, 1000, ("a",), "range")
    assert first.tasks == ("a", "b"), "the rollback is nothing that befell a task"


def test_the_whole_model_is_no_further_task():
    (one,) = found(event(10, "out_of_range", "a"), event(30, "nonfinite"), end=30)
    assert one.tasks == ("a",)
    (one,) = found(event(30, "nonfinite"), end=30)
    assert one.tasks == ("",)


def test_remarks_alone_are_not_serious():
    (one,) = found(event(50, "dead_layer", layer="shared/layer_0"))
    assert (one.serious, one.severity, one.last) == (False, "note", 50)


def test_spikes_belong_to_no_incident_and_the_largest_is_known():
    events = [
        event(65, "spike", "time", "the loss is 35.24, usually 3.705 give or take 1.9"),
        event(70, "spike", "click", "the loss is 3, usually 0.1 give or take 0.01"),
        event(80, "spike", "click", "something else"),
        event(90, "spike", "click", "the loss is odd, usually even"),
        event(95, "spike", "click", "the loss was not finite in 2 steps"),
        event(90, "out_of_range", "click"),
    ]
    (one,) = found(*events, end=90)
    assert len(one.events) == 1
    sizes = [spike.size for spike in spikes(happenings(events))]
    assert sizes == [pytest.approx(9.511, abs=1e-3), pytest.approx(30), 0, 0, math.inf]


def test_events_of_old_runs_and_of_unknown_steps():
    got = happenings(
        [event(1, "micro", "a"), event(2, "full", None), event(math.nan, "full"), event(-1, "full"), {"step": 3}]
    )
    assert [(e.step, e.kind, e.task, e.severity) for e in got] == [
        (1, "micro_divergence", "a", "range"),
        (2, "full_divergence", "", "full"),
        (3, "", "", "note"),
    ]

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting.analysis.incidents import Spike, group_incidents, read_events, read_spikes
from tests.pipeline.reporting.records import make_event


def find_incidents(*events, end=1000):
    return group_incidents(read_events(events), end)


def test_events_of_many_tasks_at_one_time_form_one_incident():
    (incident,) = find_incidents(
        make_event(272, "out_of_range", "share"),
        make_event(257, "out_of_range", "click"),
        make_event(257, "out_of_range", "like"),
        make_event(288, "full_divergence", "click"),
        make_event(288, "full_divergence", "like"),
        end=288,
    )
    assert (incident.first_step, incident.last_step, incident.severity) == (257, 288, "full")
    assert incident.tasks == ("click", "like", "share"), "by step, and those of one step as recorded"
    assert set(incident.unrecovered_tasks) == {"click", "like", "share"}
    assert [event.step for event in incident.select("full_divergence")] == [288, 288]
    assert (incident.first_divergence.step, incident.first_divergence.task) == (257, "click")


@pytest.mark.parametrize(("second", "count"), [(142, 1), (143, 2)])
def test_incidents_are_separate_if_more_than_32_steps_lie_between_return_and_departure(second, count):
    incidents = find_incidents(
        make_event(10, "out_of_range", "a"),
        make_event(110, "micro_divergence", "a"),
        make_event(second, "out_of_range", "b"),
        make_event(200, "micro_divergence", "b"),
    )
    assert len(incidents) == count
    assert all(incident.unrecovered_tasks == () and incident.severity == "range" for incident in incidents)


def test_overlapping_episodes_are_one_incident_even_if_their_events_are_far_apart():
    (incident,) = find_incidents(
        make_event(10, "out_of_range", "a"),
        make_event(500, "out_of_range", "b"),
        make_event(510, "micro_divergence", "b"),
        make_event(900, "recovery", "a"),
    )
    assert (incident.first_step, incident.last_step) == (10, 900)


def test_a_rollback_brings_every_task_back():
    first, second = find_incidents(
        make_event(100, "out_of_range", "a"),
        make_event(130, "full_divergence", "a"),
        make_event(100, "out_of_range", "b"),
        make_event(130, "rollback"),
        make_event(400, "out_of_range", "a"),
    )
    assert (first.last_step, first.unrecovered_tasks, first.severity) == (130, (), "full")
    assert (second.first_step, second.last_step) == (400, 1000)
    assert (second.unrecovered_tasks, second.severity) == (("a",), "range")
    assert first.tasks == ("a", "b"), "a rollback is not a divergence of the whole model"


def test_the_whole_model_is_not_listed_beside_tasks():
    (incident,) = find_incidents(make_event(10, "out_of_range", "a"), make_event(30, "nonfinite"), end=30)
    assert incident.tasks == ("a",)
    (incident,) = find_incidents(make_event(30, "nonfinite"), end=30)
    assert incident.tasks == ("",)


def test_a_dead_layer_is_not_a_divergence():
    (incident,) = find_incidents(make_event(50, "dead_layer", layer="shared/layer_0"))
    assert (incident.is_divergence, incident.severity, incident.last_step) == (False, "note", 50)


def test_spikes_belong_to_no_incident():
    events = [make_event(65, "spike", "time"), make_event(90, "out_of_range", "click")]
    (incident,) = find_incidents(*events, end=90)
    assert len(incident.events) == 1


def test_spikes_are_read_from_the_values_of_their_events():
    events = [
        make_event(65, "spike", "time", values={"loss": 35.24, "usual": 3.705, "spread": 1.9, "explained": 1.0}),
        make_event(70, "spike", "click", values={"loss": 3.0, "usual": 0.1, "normalized_loss": 5.0, "explained": 0.0}),
        make_event(80, "spike", "like", values={"normalized_loss": 1.68, "usual_normalized_loss": 0.98}),
        make_event(95, "spike", "click", values={"count": 2.0, "explained": 0.0}),
        make_event(99, "spike", "click", values={"loss": "Infinity"}),
    ]
    spikes = read_spikes(read_events(events))
    assert spikes == [
        Spike(65, "time", 35.24, 3.705, is_explained=True),
        Spike(70, "click", 3.0, 0.1),
        Spike(80, "like", 1.68, 0.98, is_normalized=True),
        Spike(95, "click", math.inf),
        Spike(99, "click", math.inf),
    ]
    assert [spike.ratio for spike in spikes[:2]] == [pytest.approx(9.511, abs=1e-3), pytest.approx(30)]
    assert spikes[2].ratio == pytest.approx(1.68 / 0.98)
    assert spikes[3].ratio == math.inf


@pytest.mark.parametrize("values", [{}, None, "text", [1], {"loss": None}, {"loss": "high"}, {"loss": True}])
def test_a_spike_without_known_values_has_no_height(values):
    (spike,) = read_spikes(read_events([make_event(65, "spike", "time", "the loss is 35.24", values=values)]))
    assert spike == Spike(65, "time")
    assert spike.ratio == 0


def test_events_without_values_are_read_too():
    (event,) = read_events([{"step": 3, "kind": "rollback"}])
    assert event.values == {}


def test_early_names_are_replaced_and_events_without_a_step_are_skipped():
    events = read_events(
        [
            make_event(1, "micro", "a"),
            make_event(2, "full", None),
            make_event(math.nan, "full"),
            make_event(-1, "full"),
            {"step": 3},
        ]
    )
    assert [(event.step, event.kind, event.task, event.severity) for event in events] == [
        (1, "micro_divergence", "a", "range"),
        (2, "full_divergence", "", "full"),
        (3, "", "", "note"),
    ]

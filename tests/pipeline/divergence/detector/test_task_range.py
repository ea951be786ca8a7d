"""A task that leaves its range and returns, according to one or two sources."""

from __future__ import annotations

from steadyrank.pipeline.divergence.detector.task_range import TaskRange
from steadyrank.pipeline.divergence.event import Evidence

HIGH = Evidence.of("loss 9", loss=9.0)


def test_leaving_is_reported_once():
    task = TaskRange("click")
    [event] = task.mark_out_of_range("steps", 10, 16, HIGH, is_full=False)
    assert (event.step, event.kind, event.task, event.evidence) == (10, "out_of_range", "click", "loss 9")
    assert task.mark_out_of_range("steps", 17, 32, HIGH, is_full=False) == []
    assert task.since == 10


def test_a_divergence_can_be_full_at_once():
    events = TaskRange("click").mark_out_of_range("steps", 10, 32, HIGH, is_full=True)
    assert [(event.step, event.kind) for event in events] == [(10, "out_of_range"), (32, "full_divergence")]
    assert events[1].evidence == "out of range since step 10: loss 9"
    assert events[1].values == {"loss": 9.0, "since": 10.0}


def test_the_event_of_a_return_holds_the_period_and_the_reason():
    task = TaskRange("click")
    task.mark_out_of_range("steps", 10, 16, HIGH, is_full=False)
    [event] = task.mark_in_range("steps", 32)
    assert (event.kind, event.evidence) == ("micro_divergence", "out of range from step 10 to step 32: loss 9")
    assert task.since is None
    assert task.mark_in_range("steps", 48) == []


def test_a_task_has_returned_when_all_sources_agree():
    task = TaskRange("click")
    task.mark_out_of_range("steps", 10, 16, HIGH, is_full=False)
    task.mark_out_of_range("publications", 32, 32, HIGH, is_full=True)
    assert task.mark_in_range("steps", 48) == []
    assert task.since == 32
    [event] = task.mark_in_range("publications", 64)
    assert (event.kind, event.values) == ("recovery", {"since": 32.0})
    assert not task.is_full


def test_a_task_that_was_only_judged_on_held_out_data_can_recover():
    task = TaskRange("click", is_full=True)
    [event] = task.mark_in_range("publications", 64)
    assert (event.kind, event.evidence, event.values) == ("recovery", "back in range at step 64", {})


def test_a_reset_marks_the_task_as_in_range_without_an_event():
    task = TaskRange("click")
    task.mark_out_of_range("steps", 10, 16, HIGH, is_full=True)
    task.reset()
    assert task == TaskRange("click")

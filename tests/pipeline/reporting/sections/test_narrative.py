from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.analysis.run_history import read_history
from steadyrank.pipeline.reporting.analysis.series import read_series
from steadyrank.pipeline.reporting.sections.narrative import write_narrative
from tests.pipeline.reporting.records import make_event


def write_statements(run: RunRecord) -> list[str]:
    return write_narrative(read_history(run, read_series(run.train)))


def narrate(events, verdict="full", end=288, train=(), rule="none", status="done") -> str:
    run = RunRecord(
        "r",
        config={"optimizer": {"rule": rule}},
        status={"step": end, "status": status},
        divergence={"verdict": verdict, "events": events},
        train=train,
    )
    return " ".join(write_statements(run))


DEPARTURE = make_event(257, "out_of_range", "watch_time", values={"loss": 3e8, "normalized_loss": 1e7, "since": 257.0})
FULL = make_event(288, "full_divergence", "watch_time", values={"since": 257.0, "loss": 3e8})
LOST = (DEPARTURE, FULL)
ROLLBACK = make_event(
    288,
    "rollback",
    "back to the weights of step 256",
    values={"restored_step": 256.0, "learning_rate_factor": 0.5, "count": 1.0, "max_rollbacks": 3.0},
)


def test_full_divergence():
    assert narrate(LOST) == (
        "At step 257, the loss of watch_time went out of range. Full divergence was declared at step 288."
    )


def test_the_measure_is_named_only_if_it_is_known():
    assert "the AUC of a went" in narrate([make_event(257, "out_of_range", "a", values={"auc": 0.5, "usual": 0.7})])
    text = narrate([make_event(257, "out_of_range", "a", "the loss is 3e8")])
    assert text.startswith("At step 257, a went out of range."), "the evidence is not parsed"


def test_the_first_of_many_tasks_is_named_and_the_others_are_counted():
    others = [make_event(260 + index, "out_of_range", f"task {index}", values={"auc": 0.5}) for index in range(2)]
    assert "At step 257, watch_time and 2 other tasks went out of range." in narrate([*others, *LOST])


def test_a_rollback_names_the_restored_step_and_the_learning_rate():
    text = narrate([*LOST, ROLLBACK], verdict="micro", end=1288)
    assert "The run rolled back at step 288 to the weights of step 256 and continued at half the learning rate." in text
    assert text.endswith("Nothing diverged in the 1,000 steps since then.")
    third = ROLLBACK | {"values": {"restored_step": 256.0, "learning_rate_factor": 0.3}}
    assert "continued at 0.300 times the learning rate" in narrate([*LOST, third], verdict="micro")


def test_a_rollback_without_values_claims_nothing_about_weights_or_rate():
    text = narrate([*LOST, make_event(288, "rollback", {"weights": 256})], verdict="micro", end=288)
    assert text.endswith("declared at step 288. The run rolled back at step 288.")


def test_several_rollbacks_and_a_rollback_that_was_not_possible():
    again = make_event(310, "out_of_range", "watch_time", values={"loss": 9.0})
    text = narrate([*LOST, ROLLBACK, again, ROLLBACK | {"step": 330}], verdict="micro", end=330)
    assert "The run rolled back 2 times, last at step 330 to the weights of step 256" in text
    assert "A rollback was needed but not possible." in narrate([*LOST, make_event(288, "no_rollback")])


def test_events_after_a_rollback_follow_it_in_the_text():
    again = [make_event(310, "out_of_range", "watch_time", values={"auc": 0.5})]
    text = narrate([*LOST, ROLLBACK, *again], verdict="micro", end=320)
    assert text.endswith(
        "half the learning rate. At step 320, the last recorded step, watch_time was still out of range."
    )
    again.append(make_event(340, "full_divergence", "watch_time"))
    text = narrate([*LOST, ROLLBACK, *again, make_event(340, "no_rollback", "no rollback is left")], end=340)
    assert text.endswith(
        "half the learning rate. Full divergence was declared again at step 340. "
        "Another rollback was needed but not possible."
    )


def test_a_run_that_stopped_is_not_said_to_be_healthy_since_then():
    assert "since then" not in narrate([make_event(100, "nonfinite")], verdict=None, end=200)


def test_of_early_records_only_the_return_is_known():
    events = [make_event(96, "micro", "click"), make_event(96, "micro", "like")]
    assert narrate(events, verdict="micro", end=96) == "At step 96, click and 1 other task returned to range."


def test_a_micro_divergence():
    text = narrate([DEPARTURE, make_event(300, "micro_divergence", "watch_time")], verdict="micro", end=400)
    assert text == (
        "At step 257, the loss of watch_time went out of range. At step 300, watch_time was back in range. "
        "Nothing diverged in the 100 steps since then."
    )


def test_a_verdict_of_full_divergence_is_stated_even_if_the_tasks_came_back():
    text = narrate([DEPARTURE, make_event(300, "micro_divergence", "watch_time")], verdict="full", end=400)
    assert text.endswith("At step 300, watch_time was back in range. The verdict is full divergence.")


def test_a_task_that_did_not_come_back_is_still_out_of_range():
    assert narrate([DEPARTURE], verdict="micro", end=270) == (
        "At step 257, the loss of watch_time went out of range. "
        "At step 270, the last recorded step, watch_time was still out of range."
    )


def test_later_incidents_are_counted_and_the_last_one_is_described():
    first = [make_event(10, "out_of_range", "a"), make_event(20, "micro_divergence", "a")]
    second = [make_event(100, "out_of_range", "a"), make_event(120, "micro_divergence", "a")]
    text = narrate([*first, *second, *LOST])
    assert "At step 10, a went out of range." in text
    assert "2 more incidents followed." in text
    assert "At step 257, the loss of watch_time" in text
    assert "Nothing diverged" not in text


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("chance", {}, "At step 288, no task was better than a constant prediction on held-out data."),
        ("nonfinite", {}, "At step 288, training could not continue because numbers were not finite."),
        (
            "full_divergence",
            {"held_out": 1.0},
            "At step 288, full divergence of the model was declared on held-out data.",
        ),
        ("full_divergence", {}, "At step 288, full divergence of the model was declared."),
    ],
)
def test_divergences_that_do_not_begin_with_a_task_out_of_range(kind, values, expected):
    assert narrate([make_event(288, kind, values=values)]) == expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("healthy", "Nothing diverged."),
        ("micro", "Training diverged for a while and recovered."),
        ("full", "Training diverged and did not recover."),
        (None, "The run has no verdict on divergence yet."),
        ("odd", "The verdict on divergence is: odd."),
    ],
)
def test_without_events_the_verdict_is_put_into_words(verdict, expected):
    assert narrate([], verdict=verdict) == expected


@pytest.mark.parametrize("status", ["running", "preempted", "interrupted"])
def test_a_run_that_may_continue_has_not_diverged_so_far(status):
    assert narrate([], verdict="healthy", status=status) == "Nothing has diverged so far."


def test_the_most_clipped_layer_is_named():
    train = [
        {"step": 256, "clipping_factor/a": 0.5, "clipping_factor/b": 0.4},
        {"step": 288, "clipping_factor/a": 0.0244, "clipping_factor/b": math.nan, "clipping_factor_last/a": 0.001},
        {"step": 320, "clipping_factor/a": 0.3, "clipping_factor/b": 0.3},
    ]
    text = narrate([], verdict="healthy", train=train, rule="clippy", end=320)
    assert text == "Nothing diverged. Clippy clipped a most, down to a factor of 0.024 between steps 257 and 288."
    unclipped = [{"step": 1, "clipping_factor/a": 1.0}]
    assert narrate([], verdict="healthy", train=unclipped).endswith("The rule clipped no step.")


def test_spikes_are_counted_by_step_and_the_largest_is_described():
    spikes = [
        make_event(65, "spike", "time", values={"loss": 35.24, "usual": 3.705}),
        make_event(65, "spike", "click", values={"loss": 0.9, "usual": 0.5}),
        make_event(90, "spike", "time", values={"loss": 12.0, "usual": 3.0}),
    ]
    assert narrate(spikes, verdict="healthy").endswith(
        "The loss spiked at 2 steps. The largest spike was in time at step 65: loss 35.24 (usual 3.705)."
    )
    normalized = [make_event(7, "spike", "click", values={"normalized_loss": 2.0, "usual_normalized_loss": 0.9})]
    assert narrate(normalized, verdict="healthy").endswith(
        "The loss spiked at 1 step. The spike was in click at step 7: normalized loss 2.000 (usual 0.9000)."
    )
    assert narrate([make_event(7, "spike", "a", values={"count": 2.0})], verdict="healthy").endswith(
        "The spike was in a at step 7: the loss was not finite."
    )


def test_spikes_without_values_are_only_counted():
    spike = make_event(65, "spike", "time", "the loss is 35.24, usually 3.705 give or take 1.9")
    assert narrate([spike], verdict="healthy").endswith("The loss spiked at 1 step.")


@pytest.mark.parametrize(
    ("explained", "expected"),
    [
        ([0.0, 0.0], None),
        ([1.0, 0.0], "Unusual labels explain the spikes at 1 of these steps"),
        ([1.0, 1.0], "Unusual labels explain all of these spikes"),
        ([1.0], "Unusual labels explain this spike"),
    ],
)
def test_spikes_that_the_labels_explain_are_counted(explained, expected):
    spikes = [
        make_event(65 + index, "spike", "time", values={"loss": 9.0, "usual": 3.0, "explained": value})
        for index, value in enumerate(explained)
    ]
    text = narrate(spikes, verdict="healthy")
    if expected is None:
        assert "explain" not in text
    else:
        assert text.endswith(f"{expected}: a constant prediction would have a high loss too.")


def test_a_spike_within_a_divergence_is_a_part_of_it():
    spike = make_event(261, "spike", "click", values={"loss": 70.0, "usual": 1.0})
    run = RunRecord("r", status={"step": 288}, divergence={"verdict": "full", "events": [spike, *LOST]})
    assert read_history(run, {}).spikes == ()
    assert "spike" not in narrate([spike, *LOST])


def test_nonfinite_losses_are_counted():
    train = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}]
    assert "The loss was not finite in 1 of 2 publications." in narrate([], verdict="healthy", train=train)


def test_a_narrative_has_at_most_four_statements():
    train = [{"step": 1, "loss": math.nan, "clipping_factor/a": 0.1}, {"step": 2, "loss": 1.0}]
    spike = make_event(1, "spike", "click", values={"count": 2.0})
    incidents = [make_event(10, "out_of_range", "a"), make_event(20, "micro_divergence", "a")]
    divergence = {"verdict": "full", "events": [spike, *incidents, *LOST]}
    assert len(write_statements(RunRecord("r", divergence=divergence, train=train))) == 4


def test_a_feature_shift_is_described_with_the_gradient_that_grew():
    train = [
        {"step": 16 * i, "norm/gradient/tower_watch_time": 1.0 if i < 5 else 40.0, "clipping_factor/shared": 0.02}
        for i in range(1, 9)
    ]
    shift = make_event(81, "feature_shift", evidence="typical value 30 (usual 2)", feature="video_views")
    text = narrate([shift], verdict="healthy", train=train, rule="clippy", end=128)
    assert text.startswith(
        "Nothing diverged. The feature video_views left its usual range at step 81: typical value 30 (usual 2). "
        "The gradient of tower_watch_time then grew to 40 times its usual norm. Clippy clipped shared most"
    )
    later = shift | {"step": 300}
    assert "at step 300, the last of 2 such shifts: typical value 30" in narrate([shift, later], "healthy", end=400)


def test_a_divergence_names_the_feature_that_had_changed_before():
    shift = make_event(257, "feature_shift", evidence="the spread is 5 times the usual", feature="video_views")
    text = narrate([shift, *(event | {"feature": "video_views"} for event in LOST)])
    assert (
        "At step 257, the loss of watch_time went out of range, after the feature video_views had shifted. Full" in text
    )

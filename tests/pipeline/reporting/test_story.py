from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.series import read
from steadyrank.pipeline.reporting.story import history, story


def event(step, kind, task="", evidence="", layer="", feature="") -> dict:
    return {"step": step, "kind": kind, "task": task, "evidence": evidence, "layer": layer, "feature": feature}


def sentences(run: RunRecord) -> list[str]:
    return story(history(run, read(run.train)))


def told(events, verdict="full", end=288, train=(), rule="none", status="done") -> str:
    run = RunRecord(
        "r",
        config={"optimizer": {"rule": rule}},
        status={"step": end, "status": status},
        divergence={"verdict": verdict, "events": events},
        train=train,
    )
    return " ".join(sentences(run))


LOST = (
    event(257, "out_of_range", "watch_time", "the loss is 3e8, 1e7 times that of a constant prediction"),
    event(288, "full_divergence", "watch_time", "out of range since step 257"),
)
BACK = event(
    288,
    "rollback",
    evidence="back to the weights of step 256; the learning rate is 0.5 of what it was, after 100 steps of warm-up; rollback 1 of 3",
)


def test_a_divergence_that_stayed():
    assert told(LOST) == (
        "At step 257 the loss of watch_time left its range; full divergence was declared at step 288."
    )


def test_of_many_tasks_the_first_is_named_and_the_others_counted():
    others = [event(260 + place, "out_of_range", f"task {place}", "the AUC is 0.5") for place in range(2)]
    assert "At step 257 watch_time left its range, as did 2 other tasks;" in told([*others, *LOST])


def test_a_rollback_says_whereto_and_at_what_rate():
    text = told([*LOST, BACK], verdict="micro", end=1288)
    assert (
        "declared at step 288; the run went back to the weights of step 256 and went on at half the learning rate."
        in text
    )
    assert text.endswith("In the 1,000 steps since then nothing diverged.")


def test_a_rollback_whose_words_are_not_known_claims_nothing_of_weights_or_rate():
    text = told([*LOST, event(288, "rollback", evidence={"weights": 256})], verdict="micro", end=288)
    assert text.endswith("declared at step 288; the run went back.")


def test_several_rollbacks_and_one_that_could_not_be_made():
    again = event(310, "out_of_range", "watch_time", "the loss is 9")
    text = told([*LOST, BACK, again, BACK | {"step": 330}], verdict="micro", end=330)
    assert "at step 330 the run went back 2 times, at last to the weights of step 256" in text
    assert "a rollback was called for and could not be made" in told([*LOST, event(288, "no_rollback")])


def test_what_comes_after_a_rollback_is_told_after_it():
    again = [event(310, "out_of_range", "watch_time", "the AUC is 0.5")]
    text = told([*LOST, BACK, *again], verdict="micro", end=320)
    assert text.endswith("half the learning rate; at step 320, the last one known, it had not come back.")
    again.append(event(340, "full_divergence", "watch_time", "out of range since step 310"))
    text = told([*LOST, BACK, *again, event(340, "no_rollback", evidence="the budget is used up")], end=340)
    assert text.endswith(
        "half the learning rate; full divergence was declared again at step 340; "
        "another rollback was called for and could not be made."
    )


def test_training_that_could_not_go_on_is_not_called_over():
    assert "since then" not in told([event(100, "nonfinite")], verdict=None, end=200)


def test_of_old_runs_only_the_return_is_known():
    events = [event(96, "micro", "click"), event(96, "micro", "like")]
    assert told(events, verdict="micro", end=96) == (
        "At step 96 click was back in range, after it had left it, like 1 other task."
    )


def test_there_and_back():
    text = told([LOST[0], event(300, "micro_divergence", "watch_time")], verdict="micro", end=400)
    assert text == (
        "At step 257 the loss of watch_time left its range; it was back in range at step 300. "
        "In the 100 steps since then nothing diverged."
    )


def test_a_verdict_of_full_divergence_is_not_talked_away():
    text = told([LOST[0], event(300, "micro_divergence", "watch_time")], verdict="full", end=400)
    assert text.endswith("it was back in range at step 300. Full divergence was declared.")


def test_who_has_not_come_back_is_said_to_be_away():
    text = told(LOST[:1], verdict="micro", end=270)
    assert text == (
        "At step 257 the loss of watch_time left its range; at step 270, the last one known, it had not come back."
    )


def test_later_incidents_are_counted_and_the_last_is_told():
    first = [event(10, "out_of_range", "a"), event(20, "micro_divergence", "a")]
    second = [event(100, "out_of_range", "a"), event(120, "micro_divergence", "a")]
    text = told([*first, *second, *LOST])
    assert "At step 10 a left its range" in text
    assert "2 more incidents followed." in text
    assert "At step 257 the loss of watch_time" in text
    assert "nothing diverged" not in text


@pytest.mark.parametrize(
    ("kind", "evidence", "expected"),
    [
        ("chance", "", "At step 288, on held-out data, no task was predicted better than by a constant."),
        ("nonfinite", "", "At step 288 training could not go on, since numbers were not finite."),
        (
            "full_divergence",
            "on held-out data the loss is inf",
            "At step 288, on held-out data, full divergence of the model was declared.",
        ),
    ],
)
def test_what_begins_without_leaving_a_range(kind, evidence, expected):
    assert told([event(288, kind, evidence=evidence)]) == expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("healthy", "Nothing diverged."),
        ("micro", "It diverged for a while and came back."),
        ("full", "It diverged and did not come back."),
        (None, "Whether it diverged has not been judged."),
        ("odd", "The verdict on its divergence is: odd."),
    ],
)
def test_without_events_the_verdict_is_all_there_is_to_say(verdict, expected):
    assert told([], verdict=verdict) == expected


def test_a_run_that_goes_on_has_not_diverged_so_far():
    assert told([], verdict="healthy", status="running") == "Nothing diverged so far."


def test_clipping_names_the_most_shortened_layer_and_when():
    train = [
        {"step": 256, "clipping_factor/a": 0.5, "clipping_factor/b": 0.4},
        {"step": 288, "clipping_factor/a": 0.0244, "clipping_factor/b": math.nan, "clipping_factor_last/a": 0.001},
        {"step": 320, "clipping_factor/a": 0.3, "clipping_factor/b": 0.3},
    ]
    text = told([], verdict="healthy", train=train, rule="clippy", end=320)
    assert text == (
        "Nothing diverged. Clippy shortened steps, most of all in a: down to a factor of 0.024 between steps 257 and 288."
    )
    assert told([], verdict="healthy", train=[{"step": 1, "clipping_factor/a": 1.0}]).endswith(
        "The rule shortened no step."
    )


def test_of_spikes_the_steps_are_counted_and_the_largest_told():
    spikes = [
        event(65, "spike", "time", "the loss is 35.24, usually 3.705 give or take 1.9"),
        event(65, "spike", "click", "the loss is 0.9, usually 0.5 give or take 0.01"),
        event(90, "spike", "time", "the loss is 12, usually 3 give or take 1"),
    ]
    assert told(spikes, verdict="healthy").endswith(
        "Spikes of the loss were recorded at 2 steps, the largest in time at step 65 (35.24, usually 3.705)."
    )
    assert "(" not in told([event(65, "spike", "time", "?")], verdict="healthy")


def test_a_spike_within_an_incident_is_the_incident():
    spike = event(261, "spike", "click", "the loss is 70, usually 1 give or take 0.1")
    run = RunRecord("r", status={"step": 288}, divergence={"verdict": "full", "events": [spike, *LOST]})
    assert history(run, {}).spikes == ()
    assert "Spikes" not in told([spike, *LOST])


def test_losses_that_are_not_finite_are_counted_and_no_more_than_four_sentences_said():
    train = [{"step": 1, "loss": math.nan, "clipping_factor/a": 0.1}, {"step": 2, "loss": 1.0}]
    spike = event(1, "spike", "click", "the loss was not finite in 2 steps")
    incidents = [event(10, "out_of_range", "a"), event(20, "micro_divergence", "a")]
    assert "The loss was not finite in 1 of 2 records." in told([], verdict="healthy", train=train)
    said = sentences(RunRecord("r", divergence={"verdict": "full", "events": [spike, *incidents, *LOST]}, train=train))
    assert len(said) == 4


def test_a_feature_that_changed_and_the_gradient_that_grew_with_it():
    train = [
        {"step": 16 * i, "norm/gradient/tower_watch_time": 1.0 if i < 5 else 40.0, "clipping_factor/shared": 0.02}
        for i in range(1, 9)
    ]
    shift = event(81, "feature_shift", evidence="its typical value is 30, usually 2", feature="video_views")
    said = told([shift], verdict="healthy", train=train, rule="clippy", end=128)
    assert said.startswith(
        "Nothing diverged. At step 81 the feature video_views left its usual range: its typical value is 30, usually 2; then "
        "the gradient of tower_watch_time grew 40 times. Clippy shortened steps"
    )
    assert "(2 times in all)" in told([shift, shift | {"step": 300}], verdict="healthy", end=400)


def test_a_divergence_names_the_feature_that_had_changed_before():
    shift = event(257, "feature_shift", evidence="its values vary 5 times as much as usual", feature="video_views")
    said = told([shift, *(each | {"feature": "video_views"} for each in LOST)])
    assert "At step 257 the loss of watch_time left its range, after the feature video_views had changed; full" in said

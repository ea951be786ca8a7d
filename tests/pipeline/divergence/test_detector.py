from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import Detector


def publication(auc: float = 0.75, loss: float = 0.45, **more: float) -> dict[str, float]:
    """A binary task with a share of 20 %: a constant prediction has the loss 0.500."""
    return {
        "loss": loss,
        "loss/click": loss,
        "auc/click": auc,
        "label_mean/click": 0.2,
        "examples/click": 32768.0,
    } | more


def regression(rmse: float, deviation: float = 2.0) -> dict[str, float]:
    return {"loss/time": rmse**2, "rmse/time": rmse, "rmse_of_mean/time": deviation, "examples/time": 32768.0}


def watched(series, **arguments) -> Detector:
    detector = Detector(**arguments)
    for i, metrics in enumerate(series):
        detector.observe_metrics(32 * (i + 1), metrics)
    return detector


def kinds(detector: Detector) -> list[tuple[int, str]]:
    return [(event.step, event.kind) for event in detector.events]


def test_a_run_that_learns_is_healthy():
    detector = watched([publication(0.5 + 0.03 * min(i, 8), 0.5 - 0.005 * i) for i in range(20)])
    assert (detector.verdict, detector.events) == ("healthy", [])


def test_a_loss_that_stays_high_is_a_full_divergence_after_the_patience():
    detector = watched([publication()] * 4 + [publication(0.6, 3.0)] * 3, patience=3)
    assert kinds(detector) == [(160, "out_of_range"), (224, "full_divergence")]
    assert detector.verdict == "full"
    assert "the loss is 3, a constant prediction has 0.5004" in detector.events[0].evidence
    assert "out of range since step 160" in detector.events[1].evidence


def test_a_loss_that_comes_back_is_a_micro_divergence():
    detector = watched([publication()] * 4 + [publication(0.6, 3.0)] * 2 + [publication()], patience=3)
    assert kinds(detector) == [(160, "out_of_range"), (224, "micro_divergence")]
    assert detector.verdict == "micro"


def test_dead_units_are_seen_though_the_loss_is_that_of_a_constant():
    detector = watched([publication(0.75)] * 4 + [publication(0.5, 0.5004)] * 3, patience=3)
    assert detector.verdict == "full"
    assert "the AUC is 0.500, it was 0.7" in detector.events[0].evidence


def test_an_auc_that_only_sinks_is_no_divergence():
    assert watched([publication(0.75)] * 4 + [publication(0.62, 0.48)] * 10).verdict == "healthy"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_out_of_range_and_poisons_nothing(value):
    detector = watched([publication(), publication(0.5, value), publication(), publication()])
    assert kinds(detector) == [(64, "out_of_range"), (96, "micro_divergence")]
    assert f"the loss is {value}" in detector.events[0].evidence


def test_not_finite_to_the_end_is_a_full_divergence():
    assert watched([publication()] + [publication(0.5, math.nan)] * 3).verdict == "full"


def test_one_sick_task_among_healthy_ones_is_found_and_named():
    detector = watched([publication() | regression(1.8)] * 3 + [publication() | regression(40.0)] * 3)
    assert detector.verdict == "full"
    assert {event.task for event in detector.events} == {"time"}


def test_a_shift_of_the_labels_is_no_alarm():
    # The loss grows a thousand times because the labels do; the prediction is as good as before beside a constant.
    shifted = [publication(loss=700.0, **{"loss/click": 0.45}) | regression(60.0, deviation=64.0)] * 5
    assert watched([publication() | regression(1.8)] * 5 + shifted).verdict == "healthy"


def test_few_rows_make_no_alarm():
    few = publication(0.49, 0.52, **{"examples/click": 40.0})
    assert watched([publication(0.6)] * 5 + [few] * 3).verdict == "healthy"


def test_a_full_divergence_that_comes_back_is_told_and_leaves_micro():
    detector = watched([publication(0.6, 3.0)] * 3 + [publication()], patience=2)
    assert [event.kind for event in detector.events] == ["out_of_range", "full_divergence", "recovery"]
    assert detector.verdict == "micro"


def test_a_model_without_tasks_is_judged_by_its_loss():
    detector = watched([{"loss": 1.0}] + [{"loss": math.nan}] * 3)
    assert detector.verdict == "full"
    assert {event.task for event in detector.events} == {""}


class TestJudgement:
    def test_a_final_model_at_chance_has_diverged_whatever_its_loss(self):
        detector = Detector()
        detector.judge_final_metrics(640, publication(0.5005, 0.5004) | regression(2.0))
        assert (detector.verdict, [event.kind for event in detector.events]) == ("full", ["chance"])

    def test_one_task_that_learned_is_enough_not_to_be_at_chance(self):
        detector = Detector()
        detector.judge_final_metrics(640, publication(0.5005, 0.5004) | regression(1.7))
        assert detector.verdict == "healthy"

    def test_out_of_range_on_held_out_data_is_full_at_once(self):
        detector = Detector()
        detector.judge_final_metrics(640, publication(0.7, 2.0))
        assert detector.verdict == "full"
        assert "on held-out data the loss is 2" in detector.events[0].evidence


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(allow_nan=True, allow_infinity=True)), max_size=30))
def test_no_series_whatever_breaks_it_and_the_end_decides(series):
    detector = watched([publication(auc, loss) for auc, loss in series])
    assert detector.verdict in ("healthy", "micro", "full")
    sick = watched([publication(auc, loss) for auc, loss in series] + [publication(0.5, math.nan)] * 3)
    assert sick.verdict == "full"


@pytest.mark.parametrize(
    "arguments", [{"patience": 0}, {"loss_ratio": 1.0}, {"collapse_share": 0.0}, {"collapse_share": 1.0}]
)
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Detector(**arguments)

"""Which tasks the held-out days cannot judge, and how a run reports them."""

from __future__ import annotations

import math

import pytest

from steadyrank.models import Task
from steadyrank.pipeline.divergence.detector import Detector
from steadyrank.pipeline.training.holdout_labels import drop_tasks, find_unjudged_tasks, format_unjudged_tasks

CLICK, MINUTES = Task("click", "binary"), Task("minutes", "regression")


def judge(metrics: dict[str, float], *tasks: Task) -> str:
    """Returns the verdict of a run whose model has these metrics on the held-out days."""
    detector = Detector()
    detector.judge_final_metrics(100, drop_tasks(metrics, find_unjudged_tasks(tasks, metrics)))
    return detector.verdict


@pytest.mark.parametrize(
    ("task", "metrics", "reason"),
    [
        (CLICK, {}, "no labels"),
        (CLICK, {"loss/click": 0.1, "examples/click": 600.0, "label_mean/click": 0.0}, "all labels are 0"),
        (CLICK, {"loss/click": 0.1, "examples/click": 600.0, "label_mean/click": 1.0}, "all labels are 1"),
        (
            CLICK,
            {"loss/click": 0.1, "examples/click": 600.0, "label_mean/click": 2 / 600, "auc/click": 0.6},
            "only 2 positives",
        ),
        (
            CLICK,
            {"loss/click": 0.1, "examples/click": 50.0, "label_mean/click": 49 / 50, "auc/click": 0.4},
            "only 1 negative",
        ),
        (
            MINUTES,
            {"loss/minutes": 9.0, "examples/minutes": 1.0, "rmse/minutes": 3.0, "rmse_of_mean/minutes": 0.0},
            "only 1 label",
        ),
        (
            MINUTES,
            {"loss/minutes": 9.0, "examples/minutes": 600.0, "rmse/minutes": 3.0, "rmse_of_mean/minutes": 0.0},
            "all labels are equal",
        ),
    ],
)
def test_too_few_labels_are_no_evidence_of_a_divergence(task, metrics, reason):
    assert find_unjudged_tasks([task], metrics) == {task.name: reason}
    assert judge({"loss": 0.1} | metrics, task) == "healthy"


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        (CLICK, {"loss/click": math.nan, "examples/click": 3.0, "label_mean/click": 0.0}),
        (CLICK, {"loss/click": 0.7, "examples/click": 600.0, "label_mean/click": 0.5, "auc/click": 0.5}),
        (
            MINUTES,
            {"loss/minutes": 9.0, "examples/minutes": 600.0, "rmse/minutes": 3.0, "rmse_of_mean/minutes": 2.9},
        ),
    ],
)
def test_enough_labels_and_broken_losses_are_judged(task, metrics):
    assert find_unjudged_tasks([task], metrics) == {}
    assert judge({"loss": 0.7} | metrics, task) == "full"


def test_the_line_names_days_tasks_and_reasons():
    assert format_unjudged_tasks({}, [CLICK], ["day=4"]) == ""
    assert format_unjudged_tasks({"click": "no labels"}, [CLICK, MINUTES], ["day=4", "day=5"]) == (
        "On the held-out days (day=4, day=5), these tasks are not judged: click: no labels."
    )
    text = format_unjudged_tasks({"click": "no labels"}, [CLICK], ["day=4"])
    assert text.endswith("click: no labels. No held-out label judges the model; only the training does.")

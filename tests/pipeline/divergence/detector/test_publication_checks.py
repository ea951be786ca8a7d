"""Judgments of one publication, compared with numbers computed by hand."""

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.divergence import Thresholds
from steadyrank.pipeline.divergence.detector.publication_checks import (
    compute_safe_auc,
    find_bad_loss,
    find_collapsed_auc,
    is_at_chance,
    list_tasks,
)

THRESHOLDS = Thresholds()
ROWS = {"label_mean/click": 0.5, "examples/click": 4800.0}
# The standard deviation of a random AUC with 2,400 positives and 2,400 negatives.
NOISE = math.sqrt(4801 / (12 * 2400 * 2400))


def test_tasks_are_those_with_a_loss():
    assert list_tasks({"loss": 1.0, "loss/click": 0.5, "loss/like": 0.5, "auc/share": 0.7}) == ["click", "like"]
    assert list_tasks({"loss": 1.0}) == [""]
    assert list_tasks({"auc/click": 0.7}) == []


@pytest.mark.parametrize(("loss", "is_bad"), [(2 * math.log(2) - 0.01, False), (2 * math.log(2) + 0.01, True)])
def test_a_binary_loss_is_compared_with_the_entropy_of_the_labels(loss, is_bad):
    assert (find_bad_loss("click", {"loss/click": loss, **ROWS}, THRESHOLDS) is not None) == is_bad


@pytest.mark.parametrize(("loss", "is_bad"), [(7.9, False), (8.1, True)])
def test_a_squared_error_is_compared_with_the_variance_of_the_labels(loss, is_bad):
    metrics = {"loss/time": loss, "rmse_of_mean/time": 2.0}
    assert (find_bad_loss("time", metrics, THRESHOLDS) is not None) == is_bad


def test_a_loss_without_known_labels_is_only_bad_if_it_is_not_finite():
    assert find_bad_loss("", {"loss": 1e9}, THRESHOLDS) is None
    assert find_bad_loss("", {"loss": math.nan}, THRESHOLDS) is not None


def test_an_auc_has_collapsed_if_a_quarter_of_its_lead_is_left():
    for auc, has_collapsed in ((0.57, False), (0.56, True), (math.nan, False)):
        evidence = find_collapsed_auc("click", {"auc/click": auc, **ROWS}, 0.75, THRESHOLDS)
        assert (evidence is not None) == has_collapsed, auc


def test_an_auc_that_was_never_clearly_above_chance_cannot_collapse():
    assert find_collapsed_auc("click", {"auc/click": 0.5, **ROWS}, 0.5 + 5 * NOISE, THRESHOLDS) is None


def test_a_safe_auc_is_two_deviations_lower():
    assert compute_safe_auc("click", {"auc/click": 0.7, **ROWS}) == pytest.approx(0.7 - 2 * NOISE)
    assert compute_safe_auc("click", {"auc/click": 0.7}) == pytest.approx(0.66)
    assert compute_safe_auc("click", {}) == 0.5


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"auc/click": 0.5 + 1.9 * NOISE, **ROWS}, True),
        ({"auc/click": 0.5 + 2.1 * NOISE, **ROWS}, False),
        ({"rmse/click": 2.0, "rmse_of_mean/click": 2.0}, True),
        ({"rmse/click": 1.9, "rmse_of_mean/click": 2.0}, False),
        ({}, False),
    ],
)
def test_a_task_at_chance_is_no_better_than_a_constant(metrics, expected):
    assert is_at_chance("click", metrics) == expected

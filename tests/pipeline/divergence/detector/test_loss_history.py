"""The usual loss, compared with numbers computed by hand."""

from __future__ import annotations

import json
import math

import pytest

from steadyrank.pipeline.divergence.detector.loss_history import MIN_WINDOWS, LossHistory
from tests.pipeline.divergence.signals import summarize


def make_history(*windows: list[float]) -> LossHistory:
    history = LossHistory()
    for window in windows:
        history.append(summarize(window))
    return history


def test_too_few_windows_have_no_usual_loss():
    history = make_history(*[[1.0, 2.0]] * (MIN_WINDOWS - 1))
    assert history.usual is None
    assert history.compute_spike_threshold(8.0) == math.inf


def test_the_usual_loss_consists_of_medians():
    history = make_history([1.0, 3.0], [2.0, 4.0], [1.0, 3.0], [0.0, 2.0], [90.0, 92.0])
    assert history.usual == (2.0, 1.0, 1.0)


@pytest.mark.parametrize(("deviations", "reaches", "expected"), [(8.0, 2, 10.0), (1.5, 2, 4.0), (1.5, 4, 6.0)])
def test_the_spike_threshold_is_the_larger_of_deviations_and_reaches(deviations, reaches, expected):
    history = make_history(*[[1.0, 3.0]] * MIN_WINDOWS)
    assert history.compute_spike_threshold(deviations, reaches) == expected


def test_one_spike_does_not_hide_the_next():
    calm = [[1.0, 3.0]] * 9
    assert make_history(*calm, [1.0, 400.0]).usual == make_history(*calm).usual


def test_windows_without_a_finite_value_are_left_out():
    assert not make_history([math.nan, math.inf])


def test_only_the_last_windows_count():
    history = make_history(*[[100.0, 102.0]] * 30, *[[1.0, 3.0]] * 24)
    assert history.usual == (2.0, 1.0, 1.0)


def test_the_state_survives_json():
    history = make_history([1.0, 3.0], [2.0, 4.0])
    assert LossHistory.from_state(json.loads(json.dumps(history.get_state()))) == history

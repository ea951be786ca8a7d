from __future__ import annotations

import math

import numpy as np
import pytest

from steadyrank.pipeline.divergence.keras_logs import LoggedLosses, rename_keras_logs


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss", "loss"),
        ("click_loss", "loss/click"),
        ("watch_time_loss", "loss/watch_time"),
        ("click_auc", "auc/click"),
        ("click_auc_12", "auc/click"),
        ("learning_rate", "learning_rate"),
    ],
)
def test_logs_are_renamed_to_metric_keys(name, key):
    assert rename_keras_logs({name: 0.5}) == {key: 0.5}


def test_values_that_are_not_numbers_are_dropped():
    assert rename_keras_logs({"loss": 0.5, "name": "x", "nothing": None}) == {"loss": 0.5}


class TestLoggedLosses:
    def test_a_window_holds_the_mean_of_its_own_steps(self):
        losses = LoggedLosses()
        per_step = np.array([4.0, 2.0, 6.0, 1.0, 1.0])
        windows = [losses.make_window({"loss/click": per_step[:end].mean()}, end) for end in (2, 3, 5)]
        assert [window.steps for window in windows] == [2, 1, 2]
        means = [window.signals["logged_loss/click"].mean for window in windows]
        assert means == pytest.approx([3.0, 6.0, 1.0])

    def test_a_new_epoch_begins_a_new_mean(self):
        losses = LoggedLosses()
        losses.make_window({"loss": 8.0}, 10)
        losses.begin(10)
        assert losses.make_window({"loss": 1.0}, 14).signals["logged_loss"].mean == 1.0

    def test_values_of_a_users_own_step_stay_as_they_are(self):
        losses = LoggedLosses()
        losses.make_window({"loss": 8.0}, 10, are_means=False)
        assert losses.make_window({"loss": 1.0}, 20, are_means=False).signals["logged_loss"].mean == 1.0

    def test_losses_that_are_not_finite_form_a_run(self):
        losses = LoggedLosses()
        losses.make_window({"loss": 1.0}, 4)
        signals = [losses.make_window({"loss": math.nan}, end).signals["logged_loss"] for end in (8, 16)]
        assert [(signal.nonfinite_count, signal.run_length) for signal in signals] == [(4, 4), (8, 12)]
        assert signals[0].finite_count == 0

    def test_other_metrics_are_no_losses(self):
        window = LoggedLosses().make_window({"auc/click": 0.5, "accuracy": 0.9}, 4)
        assert window.steps == 4
        assert not window.signals

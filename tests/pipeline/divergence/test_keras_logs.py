from __future__ import annotations

import pytest

from steadyrank.pipeline.divergence.keras_logs import rename_keras_logs


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

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
def test_logs_get_the_keys_of_metrics(name, key):
    assert rename_keras_logs({name: 0.5}) == {key: 0.5}


def test_what_is_not_a_number_is_left_out():
    assert rename_keras_logs({"loss": 0.5, "name": "x", "nothing": None}) == {"loss": 0.5}

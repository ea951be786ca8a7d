from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.training.publisher import defined, layer_of


@pytest.mark.parametrize(
    ("variable", "layer"),
    [
        ("ranker/shared/layer_0/kernel:0", "shared/layer_0"),
        ("ranker/dcn/cross_0/dense/kernel:0", "dcn/cross_0"),
        ("ranker/dcn/cross_1/dense_7/bias:0", "dcn/cross_1"),
        ("ranker/encoder/video/embeddings:0", "encoder/video"),
        ("kernel:0", "kernel"),
    ],
)
def test_a_layer_is_two_levels_below_the_model(variable, layer):
    assert layer_of(variable) == layer


def test_what_has_no_value_is_left_out_and_a_bad_loss_is_not():
    metrics = {
        "loss": math.nan,
        "examples/a": 5.0,
        "loss/a": math.nan,
        "auc/a": math.nan,
        "examples/b": 0.0,
        "loss/b": math.nan,
        "rmse/b": math.nan,
    }
    kept = defined(metrics)
    assert list(kept) == ["loss", "examples/a", "loss/a"]
    assert math.isnan(kept["loss/a"])

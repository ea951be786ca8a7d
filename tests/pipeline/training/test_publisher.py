from __future__ import annotations

import math

from steadyrank.pipeline.training.publisher import drop_undefined


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
    kept = drop_undefined(metrics)
    assert list(kept) == ["loss", "examples/a", "loss/a"]
    assert math.isnan(kept["loss/a"])

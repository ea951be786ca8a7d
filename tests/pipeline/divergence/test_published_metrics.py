"""The metrics that the monitor adds to a publication."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from steadyrank.pipeline.divergence import WindowStatistics
from steadyrank.pipeline.divergence.published_metrics import OptimizerMetrics, format_signal_metrics
from tests.pipeline.divergence.signals import summarize


def format_one(name: str, values: list[float]) -> dict[str, float]:
    return format_signal_metrics(WindowStatistics(len(values), {name: summarize(values)}), before=100)


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("loss/click", {"loss_max/click": 3.0, "loss_max_step/click": 102, "loss_min/click": 1.0}),
        ("loss", {"loss_max": 3.0, "loss_max_step": 102, "loss_min": 1.0}),
        (
            "normalized_loss/click",
            {"normalized_loss_max/click": 3.0, "normalized_loss_max_step/click": 102, "normalized_loss_min/click": 1.0},
        ),
        ("calibration/click", {"calibration_max/click": 3.0, "calibration_min/click": 1.0}),
        ("auc/click", {"auc_min/click": 1.0}),
        ("dead_units/shared/layer_0", {"dead_units/shared/layer_0": 3.0}),
        ("gradient/shared/layer_0", {"norm/gradient/shared/layer_0": 3.0}),
        ("parameter/dense", {"norm/parameter/dense": 3.0}),
        ("feature/age", {}),
    ],
)
def test_a_signal_is_published_by_its_extremes(name, metrics):
    assert format_one(name, [2.0, 3.0, 1.0]) == metrics


@pytest.mark.parametrize(
    ("name", "key"), [("loss/click", "nonfinite/loss/click"), ("activation/a/b", "nonfinite/activation/a/b")]
)
def test_steps_that_are_not_finite_are_counted(name, key):
    assert format_one(name, [math.nan, math.inf]) == {key: 2}


class FakeOptimizer:
    """An optimizer that explains its steps, like the optimizers of :mod:`steadyrank.optimizers`."""

    explain = True
    skipped_steps = 2

    def read_explanations(self):
        norms = {"gradient_norm": 3.0, "update_norm": 0.5, "parameter_norm": 6.0}
        bias_norms = norms | {"gradient_norm": 4.0, "parameter_norm": 8.0, "update_norm": 1.2}
        return {
            "model/dense/kernel:0": SimpleNamespace(
                rule="clippy", smallest_factor=0.1, factor=0.9, clipped_steps=3, **norms
            ),
            "model/dense/bias:0": SimpleNamespace(
                rule="clippy", smallest_factor=0.4, factor=0.2, clipped_steps=5, **bias_norms
            ),
            "model/table/embeddings:0": SimpleNamespace(rule="none", **norms),
        }


def test_the_variables_of_a_layer_are_merged():
    assert OptimizerMetrics().read(FakeOptimizer(), "model") == {
        "nonfinite_steps": 2,
        "clipping_factor/dense": 0.1,
        "clipping_factor_last/dense": 0.2,
        "clipped_steps/dense": 5,
        "norm/gradient/dense": 5.0,
        "norm/update/dense": 1.3,
        "norm/parameter/dense": 10.0,
        "norm/gradient/table": 3.0,
        "norm/update/table": 0.5,
        "norm/parameter/table": 6.0,
    }


def test_skipped_steps_are_counted_from_the_first_fit():
    metrics, optimizer = OptimizerMetrics(), FakeOptimizer()
    optimizer.explain = False
    metrics.begin(optimizer)
    assert metrics.read(optimizer, "model") == {"nonfinite_steps": 0}
    optimizer.skipped_steps = 5
    metrics.begin(optimizer)
    assert metrics.read(optimizer, "model") == {"nonfinite_steps": 3}


def test_other_optimizers_have_no_metrics():
    assert OptimizerMetrics().read(object(), "model") == {}

from __future__ import annotations

import math

from steadyrank.pipeline.reporting.analysis.series import find_peaks, read_series, select_kind


def test_values_that_are_not_numbers_are_skipped():
    lines = [{"step": 1, "a": 2}, {"step": 2}, {"a": 5}, {"step": math.nan, "a": 5}, {"step": 3, "a": None}]
    lines += [{"step": 4, "a": math.inf}, {"step": 5, "a": True}, {"step": "6", "a": 1.0}, {"step": 7, "a": 10**400}]
    result = read_series(lines)["a"]
    assert result.steps.tolist() == [1, 4, 7]
    assert result.values.tolist() == [2, math.inf, math.inf]
    assert read_series([]) == {}


def test_peaks_are_losses_far_above_the_mean_at_the_step_where_they_occurred():
    lines = [
        {"step": 32, "loss/a": 1.0, "loss_max/a": 3.0, "loss_max_step/a": 20},
        {"step": 64, "loss/a": 1.0, "loss_max/a": 3.1, "loss_max_step/a": 40},
        {"step": 96, "loss/a": math.nan, "loss_max/a": 2.0, "loss_max_step/a": 70},
        {"step": 128, "loss/a": 1.0, "loss_max/a": math.inf, "loss_max_step/a": 100},
        {"step": 160, "loss/a": 1.0, "loss_max/a": 9.0, "loss_max_step/a": 170},
        {"step": 192, "loss/a": 1.0, "loss_max/b": 9.0},
    ]
    result = find_peaks(lines, "loss/a")
    assert result.steps.tolist() == [40, 70, 160], "a step after its publication is replaced by the publication's"
    assert result.values.tolist() == [3.1, 2.0, 9.0]
    assert find_peaks([{"step": 1, "loss": 1, "loss_max": 5}], "loss").values.tolist() == [5]


def test_metrics_of_one_kind_are_selected_by_their_subject():
    keys = ("norm/gradient", "norm/gradient/shared/layer_0", "norm/update/shared/layer_0", "clipping_factor/a")
    metrics = read_series([{"step": 1} | dict.fromkeys(keys, 1.0)])
    assert list(select_kind(metrics, "norm/gradient")) == ["shared/layer_0"]
    assert list(select_kind(metrics, "clipping_factor")) == ["a"]
    assert select_kind(metrics, "dead_units") == {}

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting.analysis.scores import (
    TaskScore,
    compute_scores,
    compute_weighted_mean,
    select_judging_lines,
)


def held_out(day, rows, **metrics):
    return {"day": day, "kind": "holdout", "rows": rows, **metrics}


def test_the_mean_over_held_out_days_is_weighted_by_their_rows():
    lines = [
        held_out("d8", 3000, **{"auc/click": 0.70, "ceiling/auc/click": 0.80}),
        held_out("d9", 1000, **{"auc/click": 0.62, "ceiling/auc/click": 0.76}),
        {"day": "d7", "kind": "progressive", "rows": 9000, "auc/click": 0.1},
    ]
    (score,) = compute_scores([{"name": "click", "kind": "binary", "weight": 2.0}], lines)
    # (3 * 0.70 + 0.62) / 4 and (3 * 0.80 + 0.76) / 4; the gap is from 0.5 to 0.79.
    assert score.result == pytest.approx(0.68)
    assert score.ceiling == pytest.approx(0.79)
    assert score.chance == 0.5
    assert score.gap_closed == pytest.approx(0.18 / 0.29)
    assert (score.measure, score.weight) == ("AUC", 2.0)


def test_the_gap_of_a_regression_is_measured_downwards_from_the_rmse_of_the_mean():
    line = held_out("d9", 10, **{"rmse/time": 0.9, "rmse_of_mean/time": 1.2, "ceiling/rmse/time": 0.8})
    (score,) = compute_scores([{"name": "time", "kind": "regression"}], [line])
    assert (score.measure, score.chance) == ("RMSE", 1.2)
    assert score.gap_closed == pytest.approx(0.75)


@pytest.mark.parametrize("rows", [(None, 5), (0, 0), (math.nan, 5), (-1, 5)])
def test_days_weigh_the_same_if_the_rows_of_one_are_unknown(rows):
    lines = [held_out("a", rows[0], x=1.0), held_out("b", rows[1], x=2.0)]
    assert compute_weighted_mean(lines, "x") == pytest.approx(1.5)


def test_a_day_without_rows_does_not_count():
    assert compute_weighted_mean([held_out("a", 0, x=math.nan), held_out("b", 5, x=2.0)], "x") == 2.0


def test_a_nonfinite_value_is_not_averaged_away():
    assert math.isnan(compute_weighted_mean([held_out("a", 5, x=math.nan), held_out("b", 5, x=2.0)], "x"))
    (score,) = compute_scores([{"name": "t", "kind": "binary"}], [held_out("a", 5, **{"auc/t": math.nan})])
    assert math.isnan(score.result)
    assert score.gap_closed is None


def test_the_later_line_of_a_day_counts():
    lines = [held_out("a", 10, x=1.0), held_out("b", 10, x=3.0), held_out("a", 10, x=2.0)]
    assert compute_weighted_mean(select_judging_lines(lines), "x") == pytest.approx(2.5)


def test_without_held_out_days_the_last_progressive_evaluation_judges():
    lines = [{"kind": "progressive", "day": "a"}, {"kind": "progressive", "day": "b"}]
    assert select_judging_lines(lines) == [{"kind": "progressive", "day": "b"}]
    assert select_judging_lines([]) == []


def test_values_that_were_not_recorded_are_unknown():
    (score,) = compute_scores([{"name": "t", "kind": "regression"}], [])
    assert (score.result, score.chance, score.ceiling, score.gap_closed) == (None, None, None, None)


def test_no_share_is_closed_of_a_gap_of_zero():
    assert TaskScore("t", "binary", 1.0, result=0.5, chance=0.5, ceiling=0.5).gap_closed is None

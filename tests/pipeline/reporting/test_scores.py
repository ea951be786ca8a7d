from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting.scores import Score, judging_lines, scores, weighted_mean


def held_out(day, rows, **metrics):
    return {"day": day, "kind": "holdout", "rows": rows, **metrics}


def test_the_mean_over_held_out_days_is_weighted_by_their_rows():
    lines = [
        held_out("d8", 3000, **{"auc/click": 0.70, "ceiling/auc/click": 0.80}),
        held_out("d9", 1000, **{"auc/click": 0.62, "ceiling/auc/click": 0.76}),
        {"day": "d7", "kind": "progressive", "rows": 9000, "auc/click": 0.1},
    ]
    (score,) = scores([{"name": "click", "kind": "binary", "weight": 2.0}], lines)
    # (3 * 0.70 + 0.62) / 4 and (3 * 0.80 + 0.76) / 4; the way is from 0.5 to 0.79.
    assert score.reached == pytest.approx(0.68)
    assert score.ceiling == pytest.approx(0.79)
    assert score.chance == 0.5
    assert score.share == pytest.approx(0.18 / 0.29)
    assert (score.measure, score.weight) == ("AUC", 2.0)


def test_a_regression_counts_downwards_from_the_error_of_the_mean():
    line = held_out("d9", 10, **{"rmse/time": 0.9, "rmse_of_mean/time": 1.2, "ceiling/rmse/time": 0.8})
    (score,) = scores([{"name": "time", "kind": "regression"}], [line])
    assert (score.measure, score.chance) == ("RMSE", 1.2)
    assert score.share == pytest.approx(0.75)


@pytest.mark.parametrize("rows", [(None, 5), (0, 0), (math.nan, 5), (-1, 5)])
def test_days_of_unknown_rows_weigh_equally(rows):
    lines = [held_out("a", rows[0], x=1.0), held_out("b", rows[1], x=2.0)]
    assert weighted_mean(lines, "x") == pytest.approx(1.5)


def test_a_day_without_rows_says_nothing():
    assert weighted_mean([held_out("a", 0, x=math.nan), held_out("b", 5, x=2.0)], "x") == 2.0


def test_a_value_that_is_not_finite_is_not_averaged_away():
    assert math.isnan(weighted_mean([held_out("a", 5, x=math.nan), held_out("b", 5, x=2.0)], "x"))
    (score,) = scores([{"name": "t", "kind": "binary"}], [held_out("a", 5, **{"auc/t": math.nan})])
    assert math.isnan(score.reached)
    assert score.share is None


def test_of_a_day_evaluated_twice_the_later_line_counts():
    lines = [held_out("a", 10, x=1.0), held_out("b", 10, x=3.0), held_out("a", 10, x=2.0)]
    assert weighted_mean(judging_lines(lines), "x") == pytest.approx(2.5)


def test_without_held_out_days_the_last_day_before_training_judges():
    lines = [{"kind": "progressive", "day": "a"}, {"kind": "progressive", "day": "b"}]
    assert judging_lines(lines) == [{"kind": "progressive", "day": "b"}]
    assert judging_lines([]) == []


def test_what_nobody_recorded_is_unknown():
    (score,) = scores([{"name": "t", "kind": "regression"}], [])
    assert (score.reached, score.chance, score.ceiling, score.share) == (None, None, None, None)


def test_no_way_from_chance_to_ceiling_no_share():
    assert Score("t", "binary", 1.0, reached=0.5, chance=0.5, ceiling=0.5).share is None

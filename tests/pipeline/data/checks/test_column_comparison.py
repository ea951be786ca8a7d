from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.data.checks.checked_day import Anomaly
from steadyrank.pipeline.data.checks.column_comparison import compare_column
from steadyrank.pipeline.data.checks.day_statistics import ColumnStatistics

ROWS = 10_000


def numbers(mean: float, deviation: float, missing: float = 0.0, is_log_scale: bool = False) -> ColumnStatistics:
    return ColumnStatistics(ROWS, missing, mean, deviation, is_log_scale)


def ids(top: dict[int, float], distinct: int = 1000, **attributes) -> ColumnStatistics:
    return ColumnStatistics(ROWS, 0.0, distinct=distinct, top=top, **attributes)


def compare(today: ColumnStatistics, *previous: ColumnStatistics) -> list[Anomaly]:
    return list(compare_column("x", today, previous))


def find_text(today: ColumnStatistics, *previous: ColumnStatistics) -> str:
    [anomaly] = compare(today, *previous)
    return anomaly.text


@pytest.mark.parametrize(
    ("today", "previous", "text"),
    [
        (numbers(5, 1), numbers(1, 1), "the mean of x is 5; the 3 days before had 1"),
        (
            numbers(math.log1p(50_000), 1, is_log_scale=True),
            numbers(math.log1p(10), 1, is_log_scale=True),
            "the log-scale mean of x is 50,000; the 3 days before had 10",
        ),
        (numbers(1, 9), numbers(1, 1), "the standard deviation of x is 9; the 3 days before had 1"),
        (
            numbers(1, 9, is_log_scale=True),
            numbers(1, 1, is_log_scale=True),
            "the standard deviation of the logarithm of x is 9; the 3 days before had 1",
        ),
        (numbers(1, 0), numbers(1, 1), "x is 1 in every row; on the 3 days before it varied"),
        (numbers(2, 0), numbers(1, 0), "x is 2 in every row; on the 3 days before it was always 1"),
        (numbers(1.5, 0.5), numbers(1, 0), "x varies around 1.5; on the 3 days before it was always 1"),
        (numbers(1, 1, 0.4), numbers(1, 1, 0.1), "x is missing in 40% of the rows; the 3 days before had 10%"),
        (
            ids({1: 1.0}, distinct=1),
            ids({1: 0.5, 2: 0.5}, distinct=2),
            "x has the same value in every row; the day before had 2 different values",
        ),
        (
            ids({1: 0.5}, unknown=0.5),
            ids({1: 0.5}, unknown=0.1),
            "50% of the values of x are not in the schema's vocabulary or id range; the 3 days before had 10%",
        ),
        (
            ids({2: 0.5}),
            ids({1: 0.5}),
            "the most frequent values of x so far make up 0% of the values; on the day before they made up 50%",
        ),
    ],
)
def test_each_anomaly_is_a_sentence_with_the_value_and_the_usual_value(today, previous, text):
    assert find_text(today, *[previous] * 3) == text
    assert compare(previous, *[previous] * 3) == []


def test_the_score_is_the_distance_in_usual_deviations():
    [anomaly] = compare(numbers(1, 2), *[numbers(5, 2)] * 3)
    assert (anomaly.check, anomaly.column, anomaly.score) == ("shifted", "x", -2.0)


def test_one_unusual_day_before_hides_no_other():
    assert compare(numbers(5, 1), numbers(1, 1), numbers(5, 1), numbers(1, 1), numbers(1, 1))


def test_a_column_that_always_varied_this_much_is_usual():
    previous = [numbers(mean, 1) for mean in (1, 3, 1, 3, 1, 3)]
    assert compare(numbers(4, 1), *previous) == []


def test_a_rare_label_is_compared_by_its_odds():
    def label(share: float) -> ColumnStatistics:
        return numbers(share, math.sqrt(share * (1 - share)))

    # The mean moves by a fifth of a deviation, which is usual for numbers, but the odds become five times higher.
    assert find_text(label(0.05), *[label(0.01)] * 3) == "the mean of x is 0.05; the 3 days before had 0.01"
    assert compare(label(0.015), *[label(0.01)] * 3) == []


def test_ids_that_always_come_and_go_are_usual():
    days = [ids({day: 0.5}) for day in range(5)]
    assert compare(days[-1], *days[:-1]) == []


def test_without_any_value_only_the_missing_share_is_reported():
    today = ColumnStatistics(ROWS, 1.0)
    assert find_text(today, *[numbers(1, 1)] * 3) == "x is missing in 100% of the rows; the 3 days before had 0%"

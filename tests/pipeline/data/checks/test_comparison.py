from __future__ import annotations

import pytest

from steadyrank.pipeline.data.checks.comparison import WINDOW, DayProfile, find_anomalies
from steadyrank.pipeline.data.checks.day_statistics import ColumnStatistics


def make_day(name: str = "d", rows: int = 1000, **attributes) -> DayProfile:
    return DayProfile(name, rows, attributes.pop("columns", {}), **attributes)


def find_texts(today: DayProfile, previous: list[DayProfile]) -> list[str]:
    return [anomaly.text for anomaly in find_anomalies(today, previous)]


def test_the_first_day_has_no_anomalies():
    assert find_anomalies(make_day(rows=1, repeated_share=1.0), []) == []


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["hour=2026-11-01-22", "hour=2026-11-01-23", "hour=2026-11-02-00", "hour=2026-11-02-02"], 1),
        (["dt=20260130", "dt=20260131", "dt=20260201", "dt=20260205"], 3),
        (["n=8", "n=9", "n=10", "n=11"], 0),
        (["a", "b", "d"], 0),
        (["week=2026-01-05", "week=2026-01-12", "week=2026-01-19", "week=2026-01-26"], 0),
    ],
)
def test_missing_days_are_counted_from_the_names(names, missing):
    *previous, today = map(make_day, names)
    counted = {0: [], 1: ["1 day is missing"], 3: ["3 days are missing"]}[missing]
    assert find_texts(today, previous) == [f"{text} between {names[-2]} and {names[-1]}" for text in counted]


def test_a_weekend_may_have_half_the_rows_but_not_a_tenth():
    previous = [make_day()] * 5
    assert find_texts(make_day(rows=500), previous) == []
    assert find_texts(make_day(rows=100), previous) == ["the day has 100 rows; the 5 days before had 1,000"]
    assert find_texts(make_day(rows=1), previous[:1]) == ["the day has 1 row; the day before had 1,000"]


def test_days_before_the_window_do_not_count():
    assert find_texts(make_day(rows=100), [make_day()] * 30 + [make_day(rows=100)] * WINDOW) == []


def test_column_types_are_compared_with_the_most_common_one():
    previous = [make_day(column_types={"age": "float", "old": "string"})] * 3 + [
        make_day(column_types={"age": "integer"})
    ]
    today = make_day(column_types={"age": "integer", "new": "integer"})
    assert find_texts(today, previous) == ["the type of age is integer; it was float before"]
    assert find_texts(make_day(), previous) == []


def test_repeated_rows_are_reported_only_above_the_usual_share():
    few, many = make_day(repeated_share=0.01), make_day(repeated_share=0.3)
    assert find_texts(many, [few] * 3) == ["30% of the rows repeat another row; the 3 days before had 1.0%"]
    assert find_texts(many, [many] * 3) == []
    assert find_texts(few, [many] * 3) == []


def test_days_with_few_sampled_rows_are_not_compared():
    def day(mean: float, rows: int) -> DayProfile:
        return make_day(columns={"age": ColumnStatistics(rows, 0.0, mean, 1.0)})

    assert find_texts(day(9.0, 100), [day(1.0, 1000)] * 3) == []
    assert find_texts(day(9.0, 1000), [day(1.0, 100)] * 3) == []
    assert find_texts(day(9.0, 1000), [day(1.0, 100), day(1.0, 1000), day(1.0, 1000)]) == [
        "the mean of age is 9; the 2 days before had 1"
    ]

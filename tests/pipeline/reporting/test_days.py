from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.days import WINDOW, Movement, most_moved, movements, read_days, short_names

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def log(means, uses=None, deviation=2.0) -> dict:
    uses = uses or ["training"] * len(means)
    return {
        "days": [
            {"name": f"d{place}", "rows": 10, "use": use, "statistics": {"age": {"mean": mean, "deviation": deviation}}}
            for place, (mean, use) in enumerate(zip(means, uses, strict=True))
        ]
    }


def shifts(*args, **options) -> list[float]:
    (found,) = movements(read_days(log(*args, **options)))
    assert (found.column, found.statistic) == ("age", "mean")
    return found.shifts.tolist()


def test_a_day_is_compared_with_the_median_of_those_before_it_in_their_deviations():
    # Before the last: 10, 12, 100; the median is 12, and (16 - 12) / 2.
    first, *others = shifts([10.0, 12.0, 100.0, 16.0])
    assert math.isnan(first), "nothing stands before the first day"
    assert others == pytest.approx([1.0, 44.5, 2.0])


def test_days_that_were_left_out_are_compared_but_compared_with_nothing():
    uses = ["training", "skipped", "holdout", "training"]
    assert shifts([10.0, 90.0, 12.0, 10.0], uses)[1:] == pytest.approx([40.0, 1.0, -0.5])


def test_only_so_many_days_before_count():
    assert shifts([100.0, *[10.0] * WINDOW, 10.0])[-1] == 0
    assert shifts([*[100.0] * (WINDOW // 2 + 1), *[10.0] * (WINDOW // 2 - 1), 10.0])[-1] == pytest.approx(-45.0)


def test_what_never_varied_has_not_moved_or_moved_without_bounds():
    assert shifts([5.0, 5.0, 6.0, 4.0], deviation=0.0)[1:] == [0.0, math.inf, -math.inf]


def test_a_share_of_missing_values_moves_by_its_own_deviation():
    told = {"days": [{"statistics": {"age": {"missing": share}}} for share in (0.2, 0.2, 0.6, 7.0)]}
    (found,) = movements(read_days(told))
    assert found.statistic == "missing"
    assert found.shifts[1:3] == pytest.approx([0.0, 0.4 / math.sqrt(0.2 * 0.8)])
    assert np.isnan(found.values[3]), "no share is 7"


def test_a_share_that_was_zero_does_not_make_much_of_a_few_rows():
    told = {"days": [{"statistics": {"age": {"missing": share}}} for share in (0.0, 0.0, 0.001)]}
    (found,) = movements(read_days(told))
    assert found.shifts[2] == pytest.approx(0.001 / math.sqrt(0.01 * 0.99))


def movement(column: str, largest: float, statistic: str = "mean") -> Movement:
    return Movement(column, statistic, np.array([0.0, 1.0]), np.array([math.nan, largest]))


def test_labels_come_first_then_what_moved_most_and_what_did_not_move_is_left_out():
    found = [
        movement("still", 0.01),
        movement("some", -0.5),
        movement("click", 0.0),
        movement("most", math.inf),
        movement("flagged", 0.0),
        movement("most", 0.2, "missing"),
    ]
    chosen, others = most_moved(found, labels=["click", "absent"], flagged=["flagged", "most"], limit=10)
    assert [(one.column, one.statistic) for one in chosen] == [
        ("click", "mean"),
        ("most", "mean"),
        ("some", "mean"),
        ("most", "missing"),
        ("flagged", "mean"),
    ]
    assert others == 0
    chosen, others = most_moved(found, labels=["click"], flagged=[], limit=2)
    assert ([one.column for one in chosen], others) == (["click", "most"], 2)


@pytest.mark.parametrize(
    ("names", "short", "shared"),
    [
        (["day=2026-11-01", "day=2026-11-12"], ["01", "12"], "day=2026-11-"),
        (["day=2026-11-30", "day=2026-12-01"], ["11-30", "12-01"], "day=2026-"),
        (["period_10", "period_11"], ["10", "11"], "period_"),
        (["monday", "mond"], ["monday", "mond"], ""),
        (["a", "a"], ["a", "a"], ""),
        (["day=", "day=1"], ["day=", "1"], "day="),
        (["", ""], ["1", "2"], ""),
    ],
)
def test_names_lose_the_words_that_all_share(names, short, shared):
    assert short_names(read_days({"days": [{"name": name} for name in names]})) == (short, shared)


@settings(max_examples=200, deadline=None)
@given(told=JSON | st.fixed_dictionaries({"days": st.lists(JSON)}))
def test_nothing_in_a_record_makes_reading_fail(told):
    days = read_days(told)
    assert all(one.shifts.shape == (len(days),) for one in movements(days))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_nothing_in_place_of_a_part_of_a_day_makes_reading_fail(data):
    told = log([1.0, 2.0])
    day = told["days"][1]
    day["anomalies"] = [{"check": "rows", "column": "", "text": "few", "score": 3.0}]
    parts = [day, day["statistics"], day["statistics"]["age"], day["anomalies"][0]]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    movements(read_days(told))


def test_numbers_that_are_too_large_stay_large_and_amounts_are_none_of_the_strange():
    first = {"rows": -3, "files": True, "statistics": {"a": {"mean": 1e308, "deviation": 1e-300}}}
    days = read_days({"days": [first, {"rows": 10**400, "statistics": {"a": {"mean": -1e308, "deviation": 1}}}]})
    assert [(day.rows, day.files) for day in days] == [(None, None), (None, None)]
    (found,) = movements(days)
    assert found.largest == math.inf

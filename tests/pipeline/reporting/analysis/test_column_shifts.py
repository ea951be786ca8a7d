from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.column_shifts import (
    WINDOW,
    ColumnShift,
    Statistic,
    compute_column_shifts,
    select_largest_shifts,
)
from steadyrank.pipeline.reporting.analysis.log_days import read_days
from tests.pipeline.reporting.strategies import JSON


def make_log(means, uses=None, deviation=2.0) -> dict[str, Any]:
    uses = uses or ["training"] * len(means)
    return {
        "days": [
            {
                "name": f"d{index}",
                "rows": 10,
                "use": use,
                "statistics": {"age": {"mean": mean, "deviation": deviation}},
            }
            for index, (mean, use) in enumerate(zip(means, uses, strict=True))
        ]
    }


def compute_shifts(*args, **options) -> list[float]:
    (shift,) = compute_column_shifts(read_days(make_log(*args, **options)))
    assert (shift.column, shift.statistic) == ("age", "mean")
    return shift.shifts.tolist()


def make_missing_log(*shares: float) -> dict[str, Any]:
    return {"days": [{"statistics": {"age": {"missing": share}}} for share in shares]}


def test_a_day_is_compared_with_the_median_of_the_days_before_in_standard_deviations():
    # The days before the last one have 10, 12 and 100: the median is 12, and the shift (16 - 12) / 2.
    first, *others = compute_shifts([10.0, 12.0, 100.0, 16.0])
    assert math.isnan(first), "there is no day before the first one"
    assert others == pytest.approx([1.0, 44.5, 2.0])


def test_a_skipped_day_has_a_shift_but_no_day_is_compared_with_it():
    uses = ["training", "skipped", "holdout", "training"]
    assert compute_shifts([10.0, 90.0, 12.0, 10.0], uses)[1:] == pytest.approx([40.0, 1.0, -0.5])


def test_only_the_last_days_before_a_day_count():
    assert compute_shifts([100.0, *[10.0] * WINDOW, 10.0])[-1] == 0
    means = [*[100.0] * (WINDOW // 2 + 1), *[10.0] * (WINDOW // 2 - 1), 10.0]
    assert compute_shifts(means)[-1] == pytest.approx(-45.0)


def test_the_shift_of_a_constant_column_is_zero_or_infinite():
    assert compute_shifts([5.0, 5.0, 6.0, 4.0], deviation=0.0)[1:] == [0.0, math.inf, -math.inf]


def test_the_shift_of_a_missing_share_is_in_its_own_standard_deviations():
    (shift,) = compute_column_shifts(read_days(make_missing_log(0.2, 0.2, 0.6, 7.0)))
    assert shift.statistic == "missing"
    assert shift.shifts[1:3] == pytest.approx([0.0, 0.4 / math.sqrt(0.2 * 0.8)])
    assert np.isnan(shift.values[3]), "7 is not a share"


def test_a_few_missing_rows_after_none_are_a_small_shift():
    (shift,) = compute_column_shifts(read_days(make_missing_log(0.0, 0.0, 0.001)))
    assert shift.shifts[2] == pytest.approx(0.001 / math.sqrt(0.01 * 0.99))


def make_shift(column: str, largest: float, statistic: Statistic = "mean") -> ColumnShift:
    return ColumnShift(column, statistic, np.array([0.0, 1.0]), np.array([math.nan, largest]))


def test_labels_come_first_then_the_largest_shifts_and_still_columns_are_not_selected():
    shifts = [
        make_shift("still", 0.01),
        make_shift("small", -0.5),
        make_shift("click", 0.0),
        make_shift("large", math.inf),
        make_shift("flagged", 0.0),
        make_shift("large", 0.2, "missing"),
    ]
    selected, others = select_largest_shifts(shifts, labels=["click", "absent"], flagged=["flagged", "large"], limit=10)
    assert [(shift.column, shift.statistic) for shift in selected] == [
        ("click", "mean"),
        ("large", "mean"),
        ("small", "mean"),
        ("large", "missing"),
        ("flagged", "mean"),
    ]
    assert others == 0
    selected, others = select_largest_shifts(shifts, labels=["click"], flagged=[], limit=2)
    assert ([shift.column for shift in selected], others) == (["click", "large"], 2)


def test_the_last_days_of_a_shift_are_selected():
    shift = ColumnShift("age", "mean", np.arange(5.0), np.arange(5.0, 10.0)).select_last(2)
    assert (shift.values.tolist(), shift.shifts.tolist()) == ([3, 4], [8, 9])


@settings(max_examples=200, deadline=None)
@given(record=JSON | st.fixed_dictionaries({"days": st.lists(JSON)}))
def test_no_record_makes_the_computation_fail(record):
    days = read_days(record)
    assert all(shift.shifts.shape == (len(days),) for shift in compute_column_shifts(days))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_value_in_a_day_makes_the_computation_fail(data):
    log = make_log([1.0, 2.0])
    day = log["days"][1]
    day["anomalies"] = [{"check": "rows", "column": "", "text": "few", "score": 3.0}]
    part = data.draw(st.sampled_from([day, day["statistics"], day["statistics"]["age"], day["anomalies"][0]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    compute_column_shifts(read_days(log))


def test_a_shift_that_overflows_is_infinite():
    statistics = [{"a": {"mean": 1e308, "deviation": 1e-300}}, {"a": {"mean": -1e308, "deviation": 1}}]
    (shift,) = compute_column_shifts(read_days({"days": [{"statistics": one} for one in statistics]}))
    assert shift.largest == math.inf

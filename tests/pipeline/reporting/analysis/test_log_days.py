from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.log_days import read_days, shorten_names, sum_rows
from tests.pipeline.reporting.records import SHIFTED, make_log_day
from tests.pipeline.reporting.strategies import JSON


def test_a_day_is_read_with_its_anomalies():
    (day,) = read_days({"days": [make_log_day(1, "skipped", anomalies=[SHIFTED])]})
    assert (day.name, day.rows, day.files, day.is_skipped) == ("day=2026-11-01", 65_536, 4, True)
    assert day.statistics["country"] == {"missing": 0.0, "distinct": 12.0}
    (anomaly,) = day.anomalies
    assert (anomaly.check, anomaly.column, anomaly.score) == ("shifted", "age", 12.34)


def test_rows_are_summed_only_if_all_are_known():
    days = read_days({"days": [{"rows": 3}, {"rows": 4}]})
    assert sum_rows(days) == 7
    assert sum_rows([*days, *read_days({"days": [{}]})]) is None


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
def test_names_lose_the_words_that_they_all_begin_with(names, short, shared):
    assert shorten_names(read_days({"days": [{"name": name} for name in names]})) == (short, shared)


@settings(max_examples=200, deadline=None)
@given(record=JSON | st.fixed_dictionaries({"days": st.lists(JSON)}))
def test_no_record_makes_reading_fail(record):
    read_days(record)


def test_negative_boolean_and_huge_amounts_are_unknown():
    days = read_days({"days": [{"rows": -3, "files": True}, {"rows": 10**400}]})
    assert [(day.rows, day.files) for day in days] == [(None, None), (None, None)]

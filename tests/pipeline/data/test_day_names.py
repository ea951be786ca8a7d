from __future__ import annotations

import datetime
import itertools

import pytest

from steadyrank.pipeline.data.day_names import find_unit, is_time_key, parse_date, parse_day


@pytest.mark.parametrize(
    ("text", "start", "unit"),
    [
        ("2026-11-01", "2026-11-01T00:00", "day"),
        ("2026-11-1", "2026-11-01T00:00", "day"),
        ("20261101", "2026-11-01T00:00", "day"),
        ("2026_11_01", "2026-11-01T00:00", "day"),
        ("2026/11/01", "2026-11-01T00:00", "day"),
        ("2026-11", "2026-11-01T00:00", "month"),
        ("202611", "2026-11-01T00:00", "month"),
        ("2026-W45", "2026-11-02T00:00", "week"),
        ("2026-11-01T05", "2026-11-01T05:00", "hour"),
        ("2026-11-01-05", "2026-11-01T05:00", "hour"),
        ("2026110105", "2026-11-01T05:00", "hour"),
        ("2026-11-01 05:30", "2026-11-01T05:30", "minute"),
        ("2026-11-01 05:30:10.000000000", "2026-11-01T05:30:10", "second"),
        ("20261101T053010Z", "2026-11-01T05:30:10", "second"),
        ("2026-11-01T05:30:00+01:00", "2026-11-01T04:30", "second"),
    ],
)
def test_usual_spellings_are_dates(text, start, unit):
    date = parse_date(text)
    assert date is not None
    assert (date.start, date.unit) == (datetime.datetime.fromisoformat(f"{start}+00:00"), unit)


@pytest.mark.parametrize(
    "text", ["", "17", "1790000000", "20261301", "2026-02-30", "01-11-2026", "11/01/2026", "2026-11-01x", "2026-11_01"]
)
def test_other_texts_are_not(text):
    assert parse_date(text) is None


def test_numbers_of_any_length_have_one_spelling_and_separators_another():
    spellings = [parse_date(text).spelling for text in ("2026-11-1", "2026-11-30", "20261130", "2026_11_30")]
    assert spellings == ["0-0-0", "0-0-0", "0", "0_0_0"]
    assert parse_date("2026-11-01 05:00:00").spelling == parse_date("2026-11-01 05:00:00.5").spelling


@pytest.mark.parametrize(
    "key", ["day", "dt", "ds", "date", "event_date", "eventDate", "logdate", "hour", "p_month", "ts"]
)
def test_keys_of_time(key):
    assert is_time_key(key)


@pytest.mark.parametrize("key", ["country", "split", "day_of_week", "m", "bucket", "platform", "daypart", "", "update"])
def test_other_keys(key):
    assert not is_time_key(key)


def test_units():
    assert [find_unit(key) for key in ("yyyy", "event_month", "dd", "HH", "m", "x_m", "country")] == [
        "year",
        "month",
        "day",
        "hour",
        "month",
        None,
        None,
    ]


def test_days_of_nested_folders_have_the_distance_of_their_dates():
    names = ["year=2026/month=11/day=30", "year=2026/month=12/day=1", "2026/12/2", "dt=20261203"]
    times = [parse_day(name) for name in names]
    assert [(later - earlier) / 86_400 for earlier, later in itertools.pairwise(times)] == [1, 1, 1]
    assert parse_day("day=2026-11-01%2005%3A00%3A00") - parse_day("day=2026-11-01") == 5 * 3600
    assert parse_day("month=3/day=1") is None

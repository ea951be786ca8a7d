"""The order of days and files, for the layouts that other writers use. No file is read."""

from __future__ import annotations

from typing import Any

import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.files.day_folders import DayFolders, sort_into_days


def sort(*names: str, folders: tuple[str, ...] = (), **settings: Any) -> DayFolders:
    """Sorts one file in each folder, in the reverse order."""
    return sort_into_days([f"{name}/x.parquet" for name in reversed(names)], folders, "/log", **settings)


def list_days(*names: str, **settings: Any) -> list[str]:
    return [name for name, _ in sort(*names, **settings).days]


class TestOrder:
    @pytest.mark.parametrize(
        "days",
        [
            [f"day={i}" for i in range(1, 13)],
            ["dt=20260930", "dt=20261001"],
            ["ds=2026-9-30", "ds=2026-10-01"],
            ["event_date=2026-11-01", "event_date=2026-11-02"],
            ["snapshot=2026-11-01", "snapshot=2026-11-02"],
            ["date=2026-11-01T05", "date=2026-11-01T10", "date=2026-11-02T00"],
            ["day=2026-11-01%2009%3A00%3A00", "day=2026-11-01%2010%3A00%3A00"],
            ["week=2026-W5", "week=2026-W45"],
            ["month=202612", "month=202701"],
            ["ts=999999999", "ts=1790000000"],
            ["hour=9", "hour=10"],
            ["2026-11-09", "2026-11-10"],
            ["20261109", "20261110"],
            ["2026/9/30", "2026/11/01", "2026/11/2", "2027/1/1"],
            [
                "year=2026/month=9/day=10",
                "year=2026/month=11/day=2",
                "year=2026/month=11/day=10",
                "year=2027/month=1/day=1",
            ],
            ["year=2026/month=9", "year=2026/month=10"],
            ["yyyy=2026/mm=09/dd=30", "yyyy=2026/mm=10/dd=01"],
            ["y=2026/m=9/d=2", "y=2026/m=11/d=1"],
            ["year=2026/month=9/date=2026-09-30", "year=2026/month=10/date=2026-10-01"],
            ["day=2/month=9/year=2026", "day=1/month=11/year=2026"],
            ["split=0-train", "split=1-test"],
        ],
    )
    def test_days_follow_each_other_in_time(self, days):
        assert list_days(*days) == days

    def test_hours_order_the_files_of_their_day(self):
        days = sort("day=2026-11-01/hour=9", "day=2026-11-01/hour=10", "day=2026-11-02/hour=0").days
        assert days == [
            ("day=2026-11-01", ["day=2026-11-01/hour=9/x.parquet", "day=2026-11-01/hour=10/x.parquet"]),
            ("day=2026-11-02", ["day=2026-11-02/hour=0/x.parquet"]),
        ]

    def test_files_are_ordered_by_their_numbers(self):
        names = [f"part-{i}.parquet" for i in (1, 2, 10, 11)]
        assert sort_into_days(sorted(names), [], "/log").days == [("", names)]

    def test_a_day_may_be_in_several_folders(self):
        found = sort("country=DE/day=2", "country=FR/day=2", "country=FR/day=10")
        assert [(name, len(files)) for name, files in found.days] == [("day=2", 2), ("day=10", 1)]
        assert found.partitions["country=FR/day=10/x.parquet"] == {"country": "FR"}

    def test_a_second_date_within_a_day_is_no_day(self):
        found = sort("ingest=2026-11-02/event_date=2026-10-30", "ingest=2026-11-02/event_date=2026-10-31")
        assert [name for name, _ in found.days] == ["ingest=2026-11-02"]
        assert found.partitions["ingest=2026-11-02/event_date=2026-10-31/x.parquet"] == {"event_date": "2026-10-31"}

    def test_folders_of_days_without_files_are_empty_days(self):
        folders = ("day=1", "day=2", "day=3", "day=1/hour=0", "day=3/hour=0", "notes")
        assert list_days("day=1/hour=0", "day=3/hour=0", folders=folders) == ["day=1", "day=2", "day=3"]

    def test_folders_that_are_not_time_and_have_no_keys_are_no_days(self):
        found = sort("10/a", "9/b")
        assert found.days == [("", ["9/b/x.parquet", "10/a/x.parquet"])]


class TestPartitions:
    def test_values_are_decoded_and_null_is_none(self):
        found = sort("day=1/name=a%2Fb%20c", "day=2/name=__HIVE_DEFAULT_PARTITION__")
        assert found.partitions == {
            "day=1/name=a%2Fb%20c/x.parquet": {"name": "a/b c"},
            "day=2/name=__HIVE_DEFAULT_PARTITION__/x.parquet": {"name": None},
        }

    @pytest.mark.parametrize("null", ["__HIVE_DEFAULT_PARTITION__", "null", "NaT", "None", "", "__NULL__"])
    @pytest.mark.parametrize("days", [("day=2026-11-01", "day=2026-11-02"), ("day=1", "day=2")])
    def test_rows_without_a_date_belong_to_no_day(self, days, null):
        found = sort(*days, f"day={null}")
        assert [name for name, _ in found.days] == list(days)
        assert found.undated == [f"day={null}/x.parquet"]

    def test_a_missing_part_of_a_date_is_a_missing_date(self):
        found = sort("year=2026/month=11", "year=2026/month=__HIVE_DEFAULT_PARTITION__")
        assert [name for name, _ in found.days] == ["year=2026/month=11"]
        assert found.undated == ["year=2026/month=__HIVE_DEFAULT_PARTITION__/x.parquet"]


class TestRefusal:
    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("split=train", "split=test"), r"several splits .*split=train, split=test.*such as /log/split=train"),
            (("train", "val"), r"several splits of a data set \(train, val\)"),
            (
                ("country=DE", "country=FR"),
                r"the folders of country \(DE, FR\) are not days.*data.files.day_keys=country",
            ),
            (("fold=0", "fold=1"), r"the folders of fold \(0, 1\) are not days.*data.files.day_keys=none"),
            (("m=3", "m=4"), r"the folders of m \(3, 4\) are not days"),
            (("day=01", "day=1"), "day=01 and day=1 are the same day|day=1 and day=01 are the same day"),
            (("2026/11/01", "2026/11/1"), "are the same day"),
            (("day=2026-11-01", "day=20261102"), "mix two spellings of dates, 2026-11-01 and 20261102"),
            (("day=2026-11-01", "day=2026-11-02T00"), "mix two spellings of dates"),
            (("day=2026-11-01", "date=2026-11-02"), "different keys, such as date=2026-11-02 and day=2026-11-01"),
            (("day=2026-11-01", "latest"), "different keys, such as latest and day=2026-11-01"),
            (
                ("2026-11-01", "2026-11-02", "latest"),
                "the folder latest is not a date such as 2026-11-01, as 2026-11-0",
            ),
            (("day=01-11-2026", "day=02-11-2026"), "the folder day=01-11-2026 is not a date .* or a number"),
            (("day=2026-11-01", "day=17"), "the folder day=17 is not a date such as 2026-11-01, as day=2026-11-01 is"),
            (("day=20261101", "day=20261301"), "the folder day=20261301 is not a date"),
            (("day=monday", "day=tuesday"), "the folder day=monday is not a date .* or a number"),
        ],
    )
    def test_folders_whose_time_is_unclear_are_refused_with_one_line(self, names, message):
        with pytest.raises(UserError, match=message) as raised:
            sort(*names)
        assert len(str(raised.value).splitlines()) == 1

    def test_files_of_different_splits_are_refused(self):
        with pytest.raises(UserError, match="move the files of each split into a folder of their own"):
            sort_into_days(["train.parquet", "test.parquet"], [], "/log")


class TestDayKeys:
    def test_named_keys_are_days_in_the_order_of_their_numbers(self):
        assert list_days("batch=b9", "batch=b10", day_keys=("batch",)) == ["batch=b9", "batch=b10"]
        days = ["round=9/country=DE", "round=10/country=DE"]
        assert list_days(*days, day_keys=("round",)) == ["round=9", "round=10"]
        assert list_days("split=test", "split=train", day_keys=("split",)) == ["split=test", "split=train"]

    def test_none_turns_folders_of_days_off(self):
        found = sort("country=DE", "country=FR", "country=__HIVE_DEFAULT_PARTITION__", day_keys=("none",))
        [(name, files)] = found.days
        assert (name, len(files), found.undated) == ("", 3, [])
        assert found.partitions["country=FR/x.parquet"] == {"country": "FR"}

    def test_a_key_that_the_folders_lack_is_refused(self):
        with pytest.raises(UserError, match="day_keys names 'batch', but the folders have the keys day, hour"):
            sort("day=1/hour=1", "day=2/hour=1", day_keys=("batch",))

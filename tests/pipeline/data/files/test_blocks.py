from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.files.blocks import Block, divide_into_days, divide_into_periods
from steadyrank.pipeline.data.files.layout import LogLayout


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), periods=st.integers(1, 9))
def test_periods_hold_all_rows_in_order_and_differ_by_one_row(sizes, periods):
    blocks = [Block("a", group, 0, rows, sum(sizes[:group])) for group, rows in enumerate(sizes)]
    settings = Files(path="log", periods=periods)
    if sum(sizes) < periods:
        with pytest.raises(
            UserError, match=rf"log: data.files.periods must be at most .*, {sum(sizes)}, got {periods}"
        ):
            divide_into_periods(blocks, settings)
        return
    days = divide_into_periods(blocks, settings)
    rows = [[block.row_of_file(row) for block in blocks for row in range(block.rows)] for _, blocks in days]
    assert [row for day_rows in rows for row in day_rows] == list(range(sum(sizes)))
    lengths = [len(day_rows) for day_rows in rows]
    assert max(lengths) - min(lengths) <= 1
    assert [name for name, _ in days] == [f"period_{i}" for i in range(periods)]


class TestDays:
    LAYOUT = LogLayout(fs.LocalFileSystem(), "parquet", (("day=1", ("a", "b")), ("day=2", ("c",))), "log")

    def test_blocks_are_the_groups_that_have_rows(self):
        days, empty_days = divide_into_days(self.LAYOUT, {"a": [3, 0, 2], "b": [1], "c": [4]}, Files(path="log"))
        assert days == [
            ("day=1", [Block("a", 0, 0, 3, 0), Block("a", 2, 0, 2, 3), Block("b", 0, 0, 1, 0)]),
            ("day=2", [Block("c", 0, 0, 4, 0)]),
        ]
        assert empty_days == []

    def test_a_day_without_rows_is_skipped_or_refused(self):
        group_rows = {"a": [3], "b": [1], "c": [0]}
        days, empty_days = divide_into_days(self.LAYOUT, group_rows, Files(path="log", on_anomalous_day="skip"))
        assert ([name for name, _ in days], empty_days) == (["day=1"], ["day=2"])
        with pytest.raises(UserError, match=r"log: day=2 has no rows; .*on_anomalous_day=skip"):
            divide_into_days(self.LAYOUT, group_rows, Files(path="log"))

    def test_periods_and_folders_of_days_contradict(self):
        message = r"data.files.periods = 3 has no effect, because the log has days \(day=1 …\); .*day_keys=none"
        with pytest.raises(UserError, match=message):
            divide_into_days(self.LAYOUT, {"a": [3], "b": [1], "c": [4]}, Files(path="log", periods=3))

    def test_a_log_without_rows_is_refused(self):
        layout = LogLayout(fs.LocalFileSystem(), "parquet", (("", ("a",)),), "log")
        with pytest.raises(UserError, match="log: the log has no rows"):
            divide_into_days(layout, {"a": [0]}, Files(path="log", on_anomalous_day="skip"))

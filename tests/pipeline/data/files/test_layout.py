"""Which files belong to a log, and which folders are refused."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches
from steadyrank.pipeline.data.files.layout import find_layout
from steadyrank.pipeline.data.files.log import FileLog
from tests.pipeline.data.files.parquet_log import list_user_ids, make_table


class TestDays:
    def test_folders_of_days_are_days_in_the_order_of_their_names(self, log):
        source = log(
            {
                "day=2026-11-02/b.parquet": make_table(5, 20),
                "day=2026-11-01/hour=1/a.parquet": make_table(10, 10),
                "day=2026-11-01/hour=0/z.parquet": make_table(10),
                "day=2026-11-02/_SUCCESS.parquet": make_table(3, 500),
                "_metadata.parquet": make_table(3, 500),
            }
        )
        assert source.days == ["day=2026-11-01", "day=2026-11-02"]
        assert [list(source.block_rows(day)) for day in (0, 1)] == [[10, 10], [5]]
        assert list_user_ids(make_evaluation_batches(source, 0, batch_size=4)) == list(range(20))
        assert list_user_ids(make_evaluation_batches(source, 1, batch_size=4)) == list(range(20, 25))

    def test_a_log_without_folders_of_days_is_cut_into_periods(self, log):
        source = log({"a.parquet": make_table(23), "b.parquet": make_table(10, 23)}, periods=4)
        assert source.days == ["period_0", "period_1", "period_2", "period_3"]
        ids = [list_user_ids(make_evaluation_batches(source, day, batch_size=5)) for day in range(4)]
        assert [len(day_ids) for day_ids in ids] == [8, 8, 8, 9]
        assert [row for day_ids in ids for row in day_ids] == list(range(33))

    def test_a_single_file_is_a_log(self, tmp_path, parquet_schema_file):
        pq.write_table(make_table(30), tmp_path / "one.parquet")
        source = FileLog(Files(path=str(tmp_path / "one.parquet"), schema=parquet_schema_file, periods=3))
        assert [sum(source.block_rows(day)) for day in range(3)] == [10, 10, 10]

    def test_a_day_without_rows_is_refused(self, log, tmp_path):
        (tmp_path / "log" / "day=2").mkdir(parents=True)
        with pytest.raises(UserError, match="day=2 has no rows"):
            log({"day=1/a.parquet": make_table(5)})
        with pytest.raises(UserError, match="day=2 has no rows"):
            log({"day=1/a.parquet": make_table(5), "day=2/a.parquet": make_table(0)})

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({}, "no such file or folder"),
            ({"a.csv": b"1,2"}, "the folder has no Parquet or TFRecord file"),
            ({"a.parquet": b"1", "b.tfrecord": b"2"}, "the folder mixes Parquet and TFRecord files"),
            ({"a.parquet": b"1", "day=1/b.parquet": b"2"}, "some files are outside the folders of days"),
            (
                {"a.parquet": b"PAR1 no, it is none"},
                "cannot read the footer: .*; check that the file is reachable and a complete Parquet file",
            ),
            (
                {"a.parquet": b""},
                "cannot read the footer: .*; check that the file is reachable and a complete Parquet file",
            ),
        ],
    )
    def test_other_files_are_refused_with_one_line(self, tmp_path, parquet_schema_file, files, message):
        for name, content in files.items():
            (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "log" / name).write_bytes(content)
        with pytest.raises(UserError, match=message) as raised:
            FileLog(Files(path=str(tmp_path / "log"), schema=parquet_schema_file))
        assert len(str(raised.value).splitlines()) == 1

    def test_an_unknown_scheme_is_refused(self):
        with pytest.raises(UserError, match="Arrow cannot open this address"):
            find_layout("nowhere://bucket/log")

    def test_a_file_that_is_removed_or_damaged_after_opening_is_reported(self, log, tmp_path):
        source = log({"a.parquet": make_table(20), "b.parquet": make_table(20, 20)}, periods=1)
        (tmp_path / "log" / "b.parquet").unlink()
        with pytest.raises(UserError, match=r"b.parquet: the file no longer exists"):
            source.block(0, 2)
        whole = (tmp_path / "log" / "a.parquet").read_bytes()
        (tmp_path / "log" / "a.parquet").write_bytes(whole[:200])
        with pytest.raises(UserError, match=r"a.parquet: cannot read row group 1"):
            source.block(0, 1)

"""Which files belong to a log, and which folders are refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches
from steadyrank.pipeline.data.files import layout
from steadyrank.pipeline.data.files.conversion import convert_log
from steadyrank.pipeline.data.files.layout import find_layout
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.files.sample import read_sample
from tests.pipeline.data.files.parquet_log import list_user_ids, make_table


class TestOtherWriters:
    """The folders that pyarrow writes; pandas, Spark and Hive write the same."""

    DATES = pa.array([datetime.date(2026, 9, 30), datetime.date(2026, 10, 1), datetime.date(2026, 11, 2), None])

    def write(self, path: Path, style: str | None, *keys: tuple[str, pa.Array]) -> list[tuple[str, int]]:
        """Writes one row for each date and returns the days and their rows."""
        table = pa.table({"x": [1, 2, 3, 4], **dict(keys)}).filter(keys[0][1].is_valid())
        fields = pa.schema([table.schema.field(name) for name, _ in keys])
        partitioning = ds.partitioning(fields, flavor=style)
        ds.write_dataset(table, path, format="parquet", partitioning=partitioning)
        return [(name, len(files)) for name, files in find_layout(str(path)).days]

    @pytest.mark.parametrize(
        ("style", "names"),
        [
            ("hive", ["day=2026-09-30", "day=2026-10-01", "day=2026-11-02"]),
            (None, ["2026-09-30", "2026-10-01", "2026-11-02"]),
        ],
    )
    def test_dates(self, tmp_path, style, names):
        assert self.write(tmp_path / "log", style, ("day", self.DATES)) == [(name, 1) for name in names]

    def test_times_are_percent_encoded(self, tmp_path):
        days = self.write(tmp_path / "log", "hive", ("day", self.DATES.cast(pa.timestamp("us"))))
        assert [name for name, _ in days] == [
            f"day=2026-{day}%2000%3A00%3A00.000000" for day in ("09-30", "10-01", "11-02")
        ]

    @pytest.mark.parametrize(
        ("style", "names"),
        [
            ("hive", ["year=2026/month=9/day=30", "year=2026/month=10/day=1", "year=2026/month=11/day=2"]),
            (None, ["2026/9/30", "2026/10/1", "2026/11/2"]),
        ],
    )
    def test_year_month_and_day(self, tmp_path, style, names):
        parts = [(name, getattr(pc, name)(self.DATES)) for name in ("year", "month", "day")]
        assert self.write(tmp_path / "log", style, *parts) == [(name, 1) for name in names]

    @pytest.mark.parametrize(
        ("name", "compression"),
        [
            ("part-00000.snappy", "snappy"),
            ("a.zlib", "zlib"),
            ("a.tfrecord.zst", "zstd"),
            ("a.parquet.lz4", "lz4"),
            ("day=1/a.tfrecord.bz2", "bzip2"),
        ],
    )
    def test_a_compression_that_cannot_be_read_is_named(self, tmp_path, name, compression):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        for path in (tmp_path, file):
            with pytest.raises(
                UserError, match=f"{name}: files compressed with {compression} cannot be read; decompress"
            ):
                find_layout(str(path))

    def test_a_compressed_file_among_others_is_not_left_out(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"x")
        (tmp_path / "backup.zst").write_bytes(b"x")
        assert len(find_layout(str(tmp_path)).files) == 1
        (tmp_path / "b.parquet.gz").write_bytes(b"x")
        with pytest.raises(UserError, match=r"b.parquet.gz: .* decompress it: gunzip"):
            find_layout(str(tmp_path))

    def test_a_null_date_is_no_day(self, tmp_path):
        table = pa.table({"x": [1, 2], "day": pa.array(["2026-11-01", None])})
        ds.write_dataset(table, tmp_path / "log", format="parquet", partitioning=["day"], partitioning_flavor="hive")
        layout = find_layout(str(tmp_path / "log"))
        assert [name for name, _ in layout.days] == ["day=2026-11-01"]
        assert [Path(file).parent.name for file in layout.undated] == ["day=__HIVE_DEFAULT_PARTITION__"]

    @pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])
    def test_inner_keys_are_columns(self, tmp_path, file_format):
        rows = pa.table({"x": pa.array([1.0, 2.0], pa.float32()), "click": [0, 1]})
        folders = ("country=DE/hour=05", "country=__HIVE_DEFAULT_PARTITION__/hour=6", "country=%C3%96/hour=10")
        for i, folder in enumerate(folders):
            (tmp_path / "log" / f"day={i}" / folder).mkdir(parents=True)
            pq.write_table(rows, tmp_path / "log" / f"day={i}" / folder / "a.parquet")
        path = tmp_path / "log"
        if file_format == "tfrecord":
            path = tmp_path / "converted"
            convert_log(str(tmp_path / "log"), str(path))
        schema = Schema(
            (
                Feature("country", "categorical", dtype="string", vocabulary=("DE", "Ö")),
                Feature("hour", "categorical", num_ids=24),
                Feature("x", "numerical"),
            ),
            (Task("click", "binary"),),
        )
        source = FileLog(Files(path=str(path)), schema)
        blocks = [source.block(day, 0) for day in range(3)]
        assert source.days == ["day=0", "day=1", "day=2"]
        assert [block["country"].tolist() for block in blocks] == [[b"DE"] * 2, [b""] * 2, ["Ö".encode()] * 2]
        assert [block["hour"].tolist() for block in blocks] == [[5, 5], [6, 6], [10, 10]]
        assert [block["x"].tolist() for block in blocks] == [[1.0, 2.0]] * 3
        sample = read_sample(find_layout(str(path)), rows=6, parts=3)
        assert sample.total_rows == 6
        assert [sorted(group.table.column_names) for group in sample.groups] == [["click", "country", "hour", "x"]] * 3


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

    def test_hidden_and_unfinished_files_are_no_part_of_the_log(self, log, tmp_path):
        source = log({f"day=1/{name}.parquet": make_table(5) for name in ("a", "_temporary/0/b", ".c", "_d")})
        for name in ("_SUCCESS", "_committed_1", "day=1/.a.parquet.crc", "_delta_log/0.json", "day=1_$folder$"):
            (tmp_path / "log" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "log" / name).touch()
        assert find_layout(str(tmp_path / "log")).days == (("day=1", (str(tmp_path / "log/day=1/a.parquet"),)),)
        assert source.block_rows(0) == [5]

    def test_a_loop_of_links_repeats_no_row(self, log, tmp_path, parquet_schema_file):
        log({"day=1/a.parquet": make_table(5), "day=2/a.parquet": make_table(5)})
        (tmp_path / "log" / "day=1" / "loop").symlink_to(tmp_path / "log")
        (tmp_path / "log" / "day=latest").symlink_to("day=2")
        source = FileLog(Files(path=str(tmp_path / "log"), schema=parquet_schema_file))
        assert [(name, sum(source.block_rows(day))) for day, name in enumerate(source.days)] == [
            ("day=1", 5),
            ("day=2", 5),
        ]

    @pytest.mark.parametrize("name", ["day=3", "day=1/b.parquet"])
    def test_a_link_that_points_to_nothing_is_refused(self, log, tmp_path, name):
        log({"day=1/a.parquet": make_table(5)})
        (tmp_path / "log" / name).symlink_to("gone")
        with pytest.raises(UserError, match=f"{name}: the symbolic link points to nothing"):
            find_layout(str(tmp_path / "log"))

    def test_rows_without_a_date_are_refused_or_skipped(self, log):
        files = {f"day={day}/a.parquet": make_table(5) for day in (1, 2, "__HIVE_DEFAULT_PARTITION__")}
        with pytest.raises(
            UserError, match=r"day=__HIVE_DEFAULT_PARTITION__/a.parquet is in the folder of rows without a"
        ):
            log(files)
        source = log(files, on_anomalous_day="skip", checked_rows_per_day=0)
        assert source.days == ["day=1", "day=2"]
        undated = source.check_days()[-1]
        assert (undated.name, undated.skipped) == ("day=__HIVE_DEFAULT_PARTITION__", True)
        assert undated.anomaly_lines() == ["Skipped day=__HIVE_DEFAULT_PARTITION__: the rows have no date"]

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

    def test_an_object_store_follows_the_same_rules(self, log, tmp_path, monkeypatch):
        names = ("day=10/part-10", "day=10/part-2", "day=9/_temporary/b", "day=9/a", ".c/d")
        log({f"{name}.parquet": make_table(5) for name in names})
        store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
        monkeypatch.setattr(layout, "_open_filesystem", lambda path: (store, "log"))
        assert find_layout("s3://bucket/log").days == (
            ("day=9", ("log/day=9/a.parquet",)),
            ("day=10", ("log/day=10/part-2.parquet", "log/day=10/part-10.parquet")),
        )

    def test_keys_of_days_are_refused_where_there_are_no_folders(self, log, tmp_path):
        log({"a.parquet": make_table(10)})
        with pytest.raises(UserError, match=r"data.files.day_keys = day has no effect, because the log is a file"):
            find_layout(str(tmp_path / "log" / "a.parquet"), ("day",))
        with pytest.raises(UserError, match="day_keys names 'day', but the folders have no keys"):
            find_layout(str(tmp_path / "log"), ("day",))

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

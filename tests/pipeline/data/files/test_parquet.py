from __future__ import annotations

import itertools
import threading
from concurrent import futures

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching import (
    BatchOrder,
    ShuffleWindows,
    make_evaluation_batches,
    make_training_batches,
)
from steadyrank.pipeline.data.files import row_group_cursor
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.files.parquet import ParquetReader

SCHEMA = Schema(
    (
        Feature("row", "numerical", normalization="none"),
        Feature("name", "categorical", dtype="string", hash_buckets=9),
        Feature("bag", "bag", width=3, num_ids=9),
        Feature("words", "bag", width=2, dtype="string", hash_buckets=9),
    ),
    (Task("click", "binary"),),
)


def table(rows: int, length: int = 5) -> pa.Table:
    """Returns numbered rows. ``length`` is the length of the strings. A file's dictionary cannot hold many long strings."""
    numbers = range(rows)
    return pa.table(
        {
            "row": np.arange(rows, dtype=np.float32),
            "name": [f"{i:0{length}}" if i % 7 else None for i in numbers],
            "bag": [[i, i + 1, i + 2][: i % 4] if i % 5 else None for i in numbers],
            "words": [[f"{i:0{length}}", "b"][: i % 3] for i in numbers],
            "click": [float(i % 2) for i in numbers],
        }
    )


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(row_group_cursor, "LARGE_ROWS", 10)
    monkeypatch.setattr(row_group_cursor, "PART_ROWS", 4)


def written(path, rows: int, row_group: int, length: int = 5) -> str:
    pq.write_table(table(rows, length), path, row_group_size=row_group)
    return str(path)


def numbers(batches) -> list[int]:
    return [int(row) for b in batches for row in b["row"].numpy()[~np.isnan(b["click"].numpy())]]


def test_a_large_row_group_is_divided_into_parts_of_equal_size(tmp_path):
    reader = ParquetReader(fs.LocalFileSystem(), None)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": np.zeros(500_001, np.int8)}), path, row_group_size=300_001)
    assert reader.group_rows(str(path)) == [60_001, 60_001, 60_001, 60_001, 59_997, 50_000, 50_000, 50_000, 50_000]
    assert [reader.sequential_run(str(path), i) for i in range(9)] == [0] * 5 + [1] * 4
    assert len({reader.group_signature(str(path), i) for i in range(9)}) == 9
    pq.write_table(pa.table({"a": np.zeros(131_072, np.int8)}), path)
    assert ParquetReader(fs.LocalFileSystem(), None).group_rows(str(path)) == [131_072]


@pytest.mark.parametrize(("rows", "row_group"), [(11, 11), (23, 23), (50, 20), (9, 9), (10, 5), (0, 5)])
@pytest.mark.parametrize("schema", [SCHEMA, None])
def test_the_parts_hold_all_rows_in_order(tmp_path, small_parts, rows, row_group, schema):
    path = written(tmp_path / "a.parquet", rows, row_group)
    reader = ParquetReader(fs.LocalFileSystem(), schema)
    groups = reader.group_rows(path)
    assert sum(groups) == rows
    assert max(groups, default=0) <= 10
    parts = [reader.read_table(path, i) for i in range(len(groups))]
    assert [part.num_rows for part in parts] == groups
    read = [row for part in parts for row in part.to_pylist()]
    assert read == table(rows).to_pylist()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, 7), min_size=1, max_size=12))
def test_parts_are_the_same_in_any_order_of_reading(tmp_path, small_parts, places):
    path = written(tmp_path / "a.parquet", 40, 28)
    reader = ParquetReader(fs.LocalFileSystem(), SCHEMA)
    first = np.cumsum([0, *reader.group_rows(path)])
    for place in places:
        assert reader.read_table(path, place).column("row").to_pylist() == list(range(first[place], first[place + 1]))


def test_parts_are_the_same_from_many_threads(tmp_path, small_parts):
    path = written(tmp_path / "a.parquet", 200, 50)
    reader = ParquetReader(fs.LocalFileSystem(), SCHEMA)
    places = np.random.default_rng(0).integers(0, len(reader.group_rows(path)), 200).tolist()
    first = np.cumsum([0, *reader.group_rows(path)])
    with futures.ThreadPoolExecutor(8) as pool:
        for place, found in zip(places, pool.map(lambda place: reader.read_table(path, place), places), strict=True):
            assert found.column("row").to_pylist() == list(range(first[place], first[place + 1]))


def test_strings_beyond_the_size_of_a_dictionary_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(row_group_cursor, "LARGE_ROWS", 1000)
    monkeypatch.setattr(row_group_cursor, "PART_ROWS", 700)
    path = written(tmp_path / "a.parquet", 4000, 4000, length=900)
    reader = ParquetReader(fs.LocalFileSystem(), SCHEMA)
    parts = [reader.read_columns(path, i)[0] for i in range(len(reader.group_rows(path)))]
    assert len(parts) == 6
    expected = table(4000, 900)
    assert [v.decode() or None for part in parts for v in part["name"].decode()] == expected.column("name").to_pylist()
    words = [[v.decode() for v in row if v] for part in parts for row in part["words"].decode()]
    assert words == expected.column("words").to_pylist()


class TestBatches:
    @pytest.fixture
    def log(self, tmp_path, small_parts) -> FileLog:
        for number, (rows, row_group) in enumerate([(60, 60), (31, 12), (25, 5)]):
            content = table(60 + 31 + 25).slice([0, 60, 91][number], rows)
            pq.write_table(content, tmp_path / f"{number}.parquet", row_group_size=row_group)
        return FileLog(Files(path=str(tmp_path), periods=1), SCHEMA)

    @pytest.mark.parametrize("shuffle_rows", [0, 1, 10, 40, 1000])
    def test_no_row_repeats_and_reading_can_start_at_any_batch(self, log, shuffle_rows):
        order = {"batch_size": 7, "seed": 4, "shuffle_rows": shuffle_rows}
        whole = list(make_training_batches(log, 0, **order))
        assert sorted(numbers(whole)) == list(range(116))
        assert numbers(whole) != list(range(116))
        for start in range(0, 17, 3):
            again = list(make_training_batches(log, 0, **order, start=start))
            assert numbers(again) == numbers(whole[start:])
        for batch in whole:
            rows = batch["row"].numpy().astype(int)
            assert [int(v) for v, row in zip(batch["name"].numpy(), rows, strict=True) if row % 7] == [
                row for row in rows if row % 7
            ]

    def test_evaluation_reads_rows_in_order(self, log):
        assert numbers(make_evaluation_batches(log, 0, batch_size=7)) == list(range(116))

    def test_each_large_row_group_is_opened_once(self, log, monkeypatch):
        begun = []
        original = pq.ParquetFile.iter_batches
        monkeypatch.setattr(
            pq.ParquetFile,
            "iter_batches",
            lambda *args, **options: begun.append(options["row_groups"]) or original(*args, **options),
        )
        windows = ShuffleWindows(log, BatchOrder(0, 7, seed=1, shuffle=True, shuffle_rows=10))
        for window in windows.positions:
            windows.load(window)
        assert sorted(begun) == [[0], [0], [1]]

    def test_parts_stay_together_when_row_groups_are_permuted(self, log):
        blocks = []
        read = log.read_block
        log.read_block = lambda day, index: blocks.append(index) or read(day, index)
        windows = ShuffleWindows(log, BatchOrder(0, 7, seed=1, shuffle=True, shuffle_rows=1))
        for window in windows.positions:
            windows.load(window)
        runs = log.storage_chunks(0)
        assert sorted(blocks) == list(range(len(runs)))
        assert blocks != sorted(blocks)
        met = [runs[block] for block in blocks]
        assert sum(a != b for a, b in itertools.pairwise(met)) == len(set(runs)) - 1
        assert all(a < b for a, b in itertools.pairwise(blocks) if runs[a] == runs[b])

    def test_a_window_is_read_after_the_one_that_it_goes_on_from(self, log):
        reading, go_on, order = threading.Event(), threading.Event(), []
        read = log.read_block

        def slow(day, index):
            if not order:
                order.append(index)
                reading.set()
                go_on.wait(60)
            else:
                order.append(index)
            return read(day, index)

        log.read_block = slow
        windows = ShuffleWindows(log, BatchOrder(0, 7))
        with futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(windows.load, 0)
            assert reading.wait(60)
            second = pool.submit(windows.load, 1)
            with pytest.raises(futures.TimeoutError):
                second.result(0.2)
            assert order == [0]
            go_on.set()
            first.result(60)
            second.result(60)
        assert order == [0, 1]

    def test_a_window_that_cannot_be_read_holds_up_no_other(self, log):
        read = log.read_block

        def broken(day, index):
            if index == 0:
                raise UserError("broken")
            return read(day, index)

        log.read_block = broken
        windows = ShuffleWindows(log, BatchOrder(0, 7))
        with pytest.raises(UserError, match="broken"):
            windows.load(0)
        arrays, _ = windows.load(1)
        assert len(arrays[0]) == log.block_rows(0)[1]


def test_damage_in_a_large_row_group_is_reported_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(row_group_cursor, "LARGE_ROWS", 1000)
    monkeypatch.setattr(row_group_cursor, "PART_ROWS", 700)
    path = written(tmp_path / "a.parquet", 4000, 4000)
    column = pq.read_metadata(path).row_group(0).column(0)
    with open(path, "r+b") as opened:
        opened.seek(column.data_page_offset)
        opened.write(b"\xff" * 40)
    reader = ParquetReader(fs.LocalFileSystem(), SCHEMA)
    for place in (3, 0, 5):
        with pytest.raises(UserError, match=r"a\.parquet: cannot read row group 0: .*; check that the file"):
            reader.read_table(path, place)

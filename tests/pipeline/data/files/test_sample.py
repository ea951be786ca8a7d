from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.files.layout import find_layout
from steadyrank.pipeline.data.files.sample import LogSample, read_sample


def write_rows(path, rows: int, group: int) -> None:
    pq.write_table(pa.table({"row": np.arange(rows)}), path, row_group_size=group)


def list_rows(sample: LogSample) -> list[int]:
    return [row for group in sample.groups for row in group.table["row"].to_pylist()]


def test_a_sample_comes_from_the_beginning_the_middle_and_the_end(tmp_path):
    write_rows(tmp_path / "a.parquet", 1000, 100)
    sample = read_sample(find_layout(str(tmp_path)), rows=30, parts=3)
    assert (sample.total_rows, sample.num_rows) == (1000, 30)
    assert list_rows(sample) == [*range(10), *range(400, 410), *range(900, 910)]


def test_small_groups_are_read_until_there_are_enough_rows(tmp_path):
    write_rows(tmp_path / "a.parquet", 100, 2)
    sample = read_sample(find_layout(str(tmp_path)), rows=50, parts=3)
    assert (sample.total_rows, sample.num_rows) == (100, 50)
    assert list_rows(sample)[-1] == 99


def test_a_log_without_rows_is_refused(tmp_path):
    write_rows(tmp_path / "a.parquet", 0, 10)
    with pytest.raises(UserError, match="the log has no rows"):
        read_sample(find_layout(str(tmp_path)), rows=50, parts=3)


def test_each_file_of_other_types_is_in_the_sample(tmp_path):
    for name in "abcdefgh":
        write_rows(tmp_path / f"{name}.parquet", 10, 10)
    pq.write_table(pa.table({"row": ["a"] * 10}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"row": np.arange(10), "new": np.arange(10)}), tmp_path / "f.parquet")
    sample = read_sample(find_layout(str(tmp_path)), rows=4, parts=2)
    assert [Path(group.file).name for group in sample.groups] == ["a.parquet", "c.parquet", "f.parquet", "h.parquet"]
    types = {Path(file).name: types for file, types in sample.column_types.items()}
    assert len(types) == 8
    assert types["f.parquet"] == {"row": "int64", "new": "int64"}

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.files.layout import find_layout
from steadyrank.pipeline.data.files.sample import read_sample


def write_rows(path, rows: int, group: int) -> None:
    pq.write_table(pa.table({"row": np.arange(rows)}), path, row_group_size=group)


def test_a_sample_comes_from_the_beginning_the_middle_and_the_end(tmp_path):
    write_rows(tmp_path / "a.parquet", 1000, 100)
    total, sample = read_sample(find_layout(str(tmp_path)), rows=30, parts=3)
    assert total == 1000
    assert sample["row"].to_pylist() == [*range(10), *range(400, 410), *range(900, 910)]


def test_small_groups_are_read_until_there_are_enough_rows(tmp_path):
    write_rows(tmp_path / "a.parquet", 100, 2)
    total, sample = read_sample(find_layout(str(tmp_path)), rows=50, parts=3)
    assert (total, len(sample)) == (100, 50)
    assert sample["row"].to_pylist()[-1] == 99


def test_a_log_without_rows_is_refused(tmp_path):
    write_rows(tmp_path / "a.parquet", 0, 10)
    with pytest.raises(UserError, match="the log has no rows"):
        read_sample(find_layout(str(tmp_path)), rows=50, parts=3)


def test_contradicting_types_are_refused(tmp_path):
    write_rows(tmp_path / "a.parquet", 10, 10)
    pq.write_table(pa.table({"row": ["a"] * 10}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="the files have different types for the same column"):
        read_sample(find_layout(str(tmp_path)), rows=20, parts=2)

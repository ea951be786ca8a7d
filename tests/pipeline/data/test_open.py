"""Each value of ``data.source`` opens its own source."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config.settings import Data, Files, Movielens, Simulated
from steadyrank.pipeline.data import open_source
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.movielens import MovielensLog
from steadyrank.pipeline.data.simulated import SimulatedLog

SCHEMA = Schema((Feature("price", "numerical"),), (Task("click", "binary"),))


def test_the_simulated_log_is_opened_with_its_settings():
    source = open_source(Data(source="simulated", simulated=Simulated(days=2, rows_per_day=10)))
    assert isinstance(source, SimulatedLog)
    assert (list(source.days), list(source.block_rows(0))) == (["day_000", "day_001"], [10])


def test_movielens_is_opened_with_its_settings(invented):
    source = open_source(Data(source="movielens", movielens=Movielens(data_dir=str(invented), periods=3)))
    assert isinstance(source, MovielensLog)
    assert len(source.days) == 3


def test_a_log_of_files_is_opened_with_a_schema_and_without_excluded_days(tmp_path):
    for day in ("day=1", "day=2"):
        (tmp_path / day).mkdir()
        pq.write_table(pa.table({"price": [1.0, 2.0], "click": [0, 1]}), tmp_path / day / "part.parquet")
    source = open_source(Data(source="files", files=Files(path=str(tmp_path))), SCHEMA, excluded_days=["day=1"])
    assert isinstance(source, FileLog)
    assert (source.schema, list(source.days)) == (SCHEMA, ["day=2"])

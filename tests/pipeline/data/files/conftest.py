from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.files.log import FileLog
from tests.pipeline.data.files.parquet_log import SCHEMA


@pytest.fixture
def parquet_schema_file(tmp_path: Path) -> str:
    """The path of a YAML file with the schema of ``parquet_log``."""
    path = tmp_path / "parquet_schema.yaml"
    path.write_text(SCHEMA)
    return str(path)


@pytest.fixture
def log(tmp_path: Path, parquet_schema_file: str) -> Callable[..., FileLog]:
    """Writes Parquet files by name into ``tmp_path/log`` and opens the folder as a log."""

    def make(files: dict[str, pa.Table], group: int = 10, **settings) -> FileLog:
        root = tmp_path / "log"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(content, path, row_group_size=group)
        return FileLog(Files(path=str(root), schema=parquet_schema_file, **settings))

    return make

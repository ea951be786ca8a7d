"""A shop's log with the columns that such logs have: labels, ids, timestamps, counters, lists, and columns of no use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 4000


def write_shop_log(path: Path) -> Path:
    """Writes the log as one Parquet file and returns its path."""
    rng = np.random.default_rng(0)
    age = rng.normal(40, 10, ROWS)
    views = np.floor(rng.pareto(0.9, ROWS) * 10).astype(np.int64)
    country = np.array(["de", "fr", "no", "yes", "a: b, [c]"])[rng.integers(0, 5, ROWS)]
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-(age - 40) / 10))
    columns = {
        "row_id": pa.array([f"r{i}" for i in range(ROWS)]),
        "event.time": pa.array(np.arange(ROWS) + 1_700_000_000),
        "number": pa.array(np.arange(ROWS) + np.arange(ROWS) // 1000 * 50),
        "__index_level_0__": pa.array(rng.permutation(ROWS)),
        "user_id": pa.array(rng.integers(0, 10**12, ROWS)),
        "Age (years)": pa.array(np.where(rng.random(ROWS) < 0.05, np.nan, age)),
        "views": pa.array(views),
        "country": pa.array(country),
        "weekday": pa.array(rng.integers(0, 7, ROWS)),
        "query": pa.array([f"q{i}" for i in rng.integers(0, 900, ROWS)]),
        "tags": pa.array([[f"t{i % 7}"] * int(n) for i, n in enumerate(rng.integers(0, 4, ROWS))]),
        "embedding": pa.array(list(rng.normal(size=(ROWS, 4)).astype(np.float32))),
        "version": pa.array(["v1"] * ROWS),
        "nothing": pa.nulls(ROWS, pa.float32()),
        "nested": pa.array([{"a": 1}] * ROWS),
        "bought": pa.array(bought),
        "minutes_watched": pa.array(np.where(bought, rng.gamma(2, 3, ROWS), np.nan)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=1000)
    return path

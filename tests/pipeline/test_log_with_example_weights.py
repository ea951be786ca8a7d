"""A run on a log with a weight in each row, as Parquet and as TFRecord."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import Config
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.config.tree import build
from steadyrank.pipeline.data.files.conversion import convert_log
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.training.job import run_job

SCHEMA = """
features:
- {name: age, kind: numerical}
tasks:
- {name: click, kind: binary, example_weight: weight of row}
- {name: like, kind: binary}
"""
ROWS, DAYS = 250, 4


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The folder of a log whose first day has only weights of 0, and the weighted share of clicks of each day."""
    root = tmp_path_factory.mktemp("weights")
    random = np.random.default_rng(0)
    shares = []
    for day in range(DAYS):
        age = random.normal(size=ROWS)
        click = (random.random(ROWS) < 1 / (1 + np.exp(-2 * age))).astype(int)
        weight = random.integers(0, 9, ROWS) * float(day > 0)
        weight *= np.where(click, 3, 1)
        columns = {"age": age, "click": click, "like": 1 - click, "weight of row": weight}
        path = root / "log" / f"day=2026-11-0{day + 1}" / "a.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
        shares.append(np.average(click, weights=weight) if day else None)
    (root / "schema.yaml").write_text(SCHEMA)
    return root, shares


def test_tfrecord_files_give_the_same_columns(log):
    root, _ = log
    convert_log(str(root / "log"), str(root / "records"))
    parquet, records = (
        FileLog(Files(path=str(root / name), schema=str(root / "schema.yaml"))) for name in ("log", "records")
    )
    assert list(parquet.schema.columns) == ["age", "click.label", "like", "weight of row"]
    for day in range(DAYS):
        one, other = parquet.block(day, 0), records.block(day, 0)
        assert np.isnan(one["click.label"]).sum() == (one["weight of row"] == 0).sum() > 0
        for name in parquet.schema.columns:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_run_weights_the_rows_and_skips_a_task_on_a_day_of_weights_0(log):
    root, shares = log
    files = {"path": str(root / "log"), "schema": str(root / "schema.yaml")}
    config = {
        "data": {"source": "files", "files": files, "batch_size": 25},
        "model": {"shared_units": [4], "tower_units": []},
        "optimizer": {"warmup_steps": 1, "learning_rate": 0.2},
        "training": {"steps_per_execution": 1, "publish_every_steps": 10},
    }
    assert run_job(build(Config, config), str(root / "run")) == 0
    lines = (root / "run" / "metrics" / "eval.jsonl").read_text().splitlines()
    by_day = {row["day"]: row for row in map(json.loads, lines)}
    first, holdout = by_day["day=2026-11-01"], by_day["day=2026-11-04"]
    assert "loss/click" not in first
    assert first["examples/like"] == holdout["examples/like"] == ROWS
    assert holdout["label_mean/click"] == pytest.approx(shares[-1], rel=1e-6)
    assert 150 < holdout["examples/click"] < ROWS
    # Three times the weight of the clicks moves the mean prediction from a half to about three quarters.
    assert holdout["prediction_mean/click"] == pytest.approx(0.75, abs=0.1)
    assert holdout["prediction_mean/like"] == pytest.approx(0.5, abs=0.1)
    assert "example_weight: weight of row" in (root / "run" / "schema.yaml").read_text()

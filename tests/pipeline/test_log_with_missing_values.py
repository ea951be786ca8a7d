"""One run on a log in which labels and values are missing where a run needs them most."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import Config
from steadyrank.pipeline.config.tree import build
from steadyrank.pipeline.training.job import run_job

SCHEMA = """
features:
- {name: age, kind: numerical}
- {name: badge, kind: categorical, dtype: string, vocabulary_size: 10}
tasks:
- {name: click, kind: binary, mask: seen}
- {name: minutes, kind: regression, weight: 0.1}
"""
ROWS, DAYS = 400, 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose last day has no labels, whose first day lacks a task, and whose training days lack a feature."""
    root = tmp_path_factory.mktemp("missing")
    random = np.random.default_rng(0)
    for day in range(DAYS):
        x = random.normal(size=ROWS)
        is_last = day == DAYS - 1
        table = pa.table(
            {
                "age": x,
                "badge": pa.array(["x" if is_last else None] * ROWS, pa.string()),
                "click": (random.random(ROWS) < 1 / (1 + np.exp(-x))).astype(int),
                "seen": np.full(ROWS, int(not is_last)),
                "minutes": pa.nulls(ROWS, pa.float64()) if day == 0 or is_last else pa.array(5 + x),
            }
        )
        path = root / "log" / f"day=2026-11-0{day + 1}" / "a.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table, path)
    (root / "schema.yaml").write_text(SCHEMA)
    files = {"path": str(root / "log"), "schema": str(root / "schema.yaml")}
    config = {
        "data": {"source": "files", "files": files, "batch_size": 100},
        "model": {"shared_units": [4], "tower_units": []},
        "training": {"steps_per_execution": 1, "publish_every_steps": 2},
    }
    code = run_job(build(Config, config), str(root / "run"))
    return code, root / "run"


def read_evaluations(run) -> list[dict]:
    return [json.loads(line) for line in (run[1] / "metrics" / "eval.jsonl").read_text().splitlines()]


def test_the_model_is_exported_with_a_remark_that_no_held_out_label_judges_it(run):
    code, folder = run
    status = json.loads((folder / "status.json").read_text())
    assert code == 0
    assert status["status"] == "done"
    assert status["message"] == (
        "On the held-out day (day=2026-11-04), these tasks are not judged: click: no labels, minutes: no labels. No "
        "held-out label judges the model; only the training does."
    )
    assert "No held-out label judges the model" in (folder / "report.html").read_text()


def test_a_day_without_labels_has_no_loss(run):
    first, *_, holdout = read_evaluations(run)
    assert holdout == {"step": 12, "day": "day=2026-11-04", "kind": "holdout", "rows": ROWS, "regularization_loss": 0.0}
    assert first["examples/click"] == ROWS
    assert "loss/minutes" not in first


def test_a_vocabulary_without_a_value_has_one_row(run):
    text = (run[1] / "schema.yaml").read_text()
    assert "hash_buckets: 1\n" in text
    assert "vocabulary_size" not in text

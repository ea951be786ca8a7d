"""What `describe` proposes for a log, and that the proposal trains."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.models import Schema
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.data.schema_inference import format_proposal, propose_schema

ROWS = 4000


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """One file of a shop's log, with what such files have."""
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
    path = tmp_path_factory.mktemp("shop") / "shop.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=1000)
    return path


def test_each_column_becomes_what_it_is(log):
    proposal = propose_schema(str(log))
    features = {feature.name: feature for feature in proposal.schema.features}
    assert list(features) == ["user_id", "Age__years_", "views", "country", "weekday", "query", "tags", "embedding"]
    assert features["user_id"].hash_buckets
    age = features["Age__years_"]
    assert (age.kind, age.normalization, age.column) == ("numerical", "standard", "Age (years)")
    assert age.default == pytest.approx(40, abs=1)
    assert features["views"].normalization == "log"
    assert set(features["country"].vocabulary) == {"de", "fr", "no", "yes", "a: b, [c]"}
    assert features["weekday"].num_ids == 7
    assert features["query"].vocabulary_size == 1000
    assert (features["tags"].kind, features["tags"].width) == ("bag", 3)
    assert set(features["tags"].vocabulary) == {f"t{i}" for i in range(7)}
    assert (features["embedding"].kind, features["embedding"].width) == ("numerical", 4)
    assert [(task.name, task.kind) for task in proposal.schema.tasks] == [
        ("bought", "binary"),
        ("minutes_watched", "regression"),
    ]
    left = {column.name: column.reason_left_out for column in proposal.columns if column.reason_left_out}
    assert left.keys() == {*("row_id", "event.time", "number", "__index_level_0__", "version", "nothing", "nested")}
    assert left["number"] == left["__index_level_0__"]
    assert left["number"].startswith("a row number.")


def test_the_yaml_says_the_same_and_why(log, tmp_path):
    proposal = propose_schema(str(log))
    text = format_proposal(proposal, str(log))
    path = tmp_path / "schema.yaml"
    path.write_text(text)
    assert read(Schema, path) == proposal.schema
    assert "4,000 rows" in text
    assert "missing" in text or "not finite" in text
    assert "# left out: different in almost every row." in text


def test_labels_are_those_that_are_named(log):
    proposal = propose_schema(str(log), labels=["weekday"])
    assert [task.name for task in proposal.schema.tasks] == ["weekday"]
    assert "bought" in {feature.name for feature in proposal.schema.features}


def test_without_a_log_or_a_label_it_is_told(log, tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        propose_schema(str(tmp_path / "nowhere"))
    pq.write_table(pa.table({"a": np.arange(100.0)}), tmp_path / "plain.parquet")
    assert "no label was found" in format_proposal(propose_schema(str(tmp_path / "plain.parquet")), "plain.parquet")


def run(*arguments) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


def test_from_a_file_to_a_served_model_without_a_line_of_python(log, tmp_path):
    schema, model_dir = tmp_path / "schema.yaml", tmp_path / "run"
    described = run("steadyrank.pipeline.describe", str(log), f"--out={schema}")
    assert described.returncode == 0, described.stderr
    assert "Tasks: bought, minutes_watched" in described.stdout
    again = run("steadyrank.pipeline.describe", str(log), f"--out={schema}")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    trained = run(
        "steadyrank.pipeline.train",
        "--config.data.source=files",
        f"--config.data.files.path={log}",
        f"--config.data.files.schema={schema}",
        "--config.data.batch_size=64",
        "--config.data.shuffle_rows=2000",
        "--config.model.shared_units=16",
        "--config.model.tower_units=",
        f"--model_dir={model_dir}",
    )
    assert trained.returncode == 0, trained.stderr
    [held_out] = [
        line
        for line in map(json.loads, (model_dir / "metrics" / "eval.jsonl").read_text().splitlines())
        if line["kind"] == "holdout"
    ]
    assert held_out["auc/bought"] > 0.65
    assert list((model_dir / "export").iterdir())
    of_run = {feature.name: feature for feature in read(Schema, model_dir / "schema.yaml").features}
    # Those of the days that were trained on.
    assert set(of_run["query"].vocabulary) < {f"q{i}" for i in range(900)}
    assert len(of_run["query"].vocabulary) > 800
    assert dataclasses.replace(of_run["query"], vocabulary=(), vocabulary_size=1000) in read(Schema, schema).features


def test_damaged_while_it_trains_it_ends_in_one_line(log, tmp_path):
    """The statistics are learned from the first day; what is wrong comes later, in a thread of tf.data's."""
    table = pq.read_table(log)
    prices = table["Age (years)"].to_numpy().copy()
    prices[3000] = np.inf
    path = tmp_path / "late.parquet"
    pq.write_table(
        table.set_column(table.column_names.index("Age (years)"), "Age (years)", pa.array(prices)),
        path,
        row_group_size=500,
    )
    schema = tmp_path / "schema.yaml"
    schema.write_text(format_proposal(propose_schema(str(log)), ""))
    arguments = (
        "steadyrank.pipeline.train",
        "--config.data.source=files",
        f"--config.data.files.path={path}",
        f"--config.data.files.schema={schema}",
        "--config.data.batch_size=64",
        "--config.model.shared_units=16",
    )
    failed = run(*arguments, f"--model_dir={tmp_path / 'failed'}")
    assert failed.returncode == 2, failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert "late.parquet, row 3,000: Age__years_: not finite" in last
    assert "Traceback" not in failed.stderr
    assert json.loads((tmp_path / "failed" / "status.json").read_text())["status"] == "failed"
    skipped = run(
        *arguments,
        "--config.data.files.on_invalid=skip",
        "--config.data.files.max_invalid_share=0.01",
        f"--model_dir={tmp_path / 'skipped'}",
    )
    assert skipped.returncode == 0, skipped.stderr
    [line] = (tmp_path / "skipped" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["row"] == 3000
    status = json.loads((tmp_path / "skipped" / "status.json").read_text())
    assert status["skipped"] == {"Age__years_: not finite": 1}
    lines = (tmp_path / "skipped" / "metrics" / "train.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["skipped_examples"] for line in lines) == 1

"""``describe`` as a process: from a user's file to a trained and served model."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from steadyrank.models import Feature, Schema
from steadyrank.pipeline import describe as describe_command
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.data.schema_inference import format_summary, propose_schema
from tests.pipeline.commands import run_command
from tests.pipeline.data.schema_inference.shop_log import write_shop_log

SMALL_MODEL = ("--config.data.batch_size=64", "--config.model.shared_units=16", "--config.model.tower_units=")


@pytest.fixture(scope="module")
def shop_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop_log(tmp_path_factory.mktemp("shop") / "shop.parquet")


def choose_log(path: Path, schema: Path) -> tuple[str, ...]:
    return (
        "--config.data.source=files",
        f"--config.data.files.path={path}",
        f"--config.data.files.schema={schema}",
    )


def test_a_file_becomes_a_served_model_without_a_line_of_python(shop_log, tmp_path):
    schema, model_dir = tmp_path / "schema.yaml", tmp_path / "run"
    described = run_command("describe", str(shop_log), "--labels=bought,minutes_watched", f"--out={schema}")
    assert described.returncode == 0, described.stderr
    assert "Tasks: bought, minutes_watched" in described.stdout
    trained = run_command(
        "train",
        *choose_log(shop_log, schema),
        *SMALL_MODEL,
        "--config.data.shuffle_rows=2000",
        f"--model_dir={model_dir}",
    )
    assert trained.returncode == 0, trained.stderr
    evaluations = map(json.loads, (model_dir / "metrics" / "eval.jsonl").read_text().splitlines())
    [holdout] = [line for line in evaluations if line["kind"] == "holdout"]
    assert holdout["auc/bought"] > 0.65
    assert list((model_dir / "export").iterdir())
    features = {feature.name: feature for feature in read(Schema, model_dir / "schema.yaml").features}
    # The vocabulary holds the values of the training days only.
    assert set(features["query"].vocabulary) < {f"q{i}" for i in range(900)}
    assert len(features["query"].vocabulary) > 800
    proposed = dataclasses.replace(features["query"], vocabulary=(), vocabulary_size=1000)
    assert proposed in read(Schema, schema).features


def test_rows_without_a_date_are_named(tmp_path):
    table = pa.table({"x": pa.array(np.arange(200) % 7 / 7), "click": pa.array(np.arange(200) % 3 % 2)})
    for folder in ("day=1", "day=2", "day=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "a.parquet")
    lines = format_summary(propose_schema(str(tmp_path)))
    assert lines[1:3] == [
        "2 days, day=1 … day=2; a run holds out the last (data.holdout_days).",
        "day=__HIVE_DEFAULT_PARTITION__: left out, because its rows have no date. Remove the folder, or train without it: "
        "--config.data.files.on_anomalous_day=skip",
    ]


def test_an_existing_file_is_not_overwritten(shop_log, tmp_path):
    schema = tmp_path / "schema.yaml"
    schema.write_text("mine")
    ran = run_command("describe", str(shop_log), f"--out={schema}")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1)
    assert f"--out={schema} already exists" in ran.stderr
    assert schema.read_text() == "mine"


def test_an_unknown_label_is_refused_with_the_columns_of_the_log(tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"age": [1.5, 2.5], "click": [0, 1]}), path)
    ran = run_command("describe", str(path), "--labels=clicks")
    assert ran.returncode == 2
    assert "--labels: the log has no column 'clicks'; it has age, click" in ran.stderr


class TestLabels:
    """In this process, because starting another one takes longer than the command itself."""

    @pytest.fixture
    def describe(self):
        def run(path: str, **values) -> int:
            arguments = {"out": "", "labels": [], "day_keys": [], "rows": 200_000} | values
            return describe_command.main(types.SimpleNamespace(**arguments), path)

        return run

    def test_without_an_unmistakable_label_the_error_has_the_command_to_run_next(self, describe, tmp_path, capsys):
        path, out = tmp_path / "my log.parquet", tmp_path / "schema.yaml"
        pq.write_table(pa.table({"age": [1.5, 2.5], "revenue": [0.5, 1.5], "a,rating": [1, 5]}), path)
        with pytest.raises(UserError) as raised:
            describe(str(path), out=str(out))
        assert not out.exists()
        assert str(raised.value) == (
            "no column is certainly a label, so no schema was written; choose among the columns that may be labels: "
            f"python -m steadyrank.pipeline.describe '{path}' --out={out} '--labels=revenue,\"a,rating\"'"
        )
        listed = capsys.readouterr().out
        assert "May be labels, left out:\n  revenue   its name suggests an outcome" in listed

    def test_the_output_ends_with_the_command_that_trains(self, describe, tmp_path, capsys):
        path, out = tmp_path / "log.parquet", tmp_path / "schema.yaml"
        pq.write_table(pa.table({"age": [1.5, 2.5], "click": [0, 1]}), path)
        assert describe(str(path), out=str(out)) == 0
        *_, last = capsys.readouterr().out.splitlines()
        assert last == (
            "  python -m steadyrank.pipeline.train --model_dir=runs/first --config.data.source=files "
            f"--config.data.files.path={path} --config.data.files.schema={out}"
        )

    def test_without_a_feature_nothing_is_written(self, describe, tmp_path):
        path, out = tmp_path / "log.parquet", tmp_path / "schema.yaml"
        pq.write_table(pa.table({"click": [0, 1]}), path)
        with pytest.raises(UserError, match="no column can be a feature"):
            describe(str(path), out=str(out))
        assert not out.exists()


class TestAFaultyRow:
    """The statistics are computed from the first days; the fault comes later, in a thread of tf.data's."""

    @pytest.fixture
    def faulty_run(self, shop_log, tmp_path) -> tuple[str, ...]:
        table = pq.read_table(shop_log)
        ages = table["Age (years)"].to_numpy().copy()
        ages[3000] = np.inf
        path = tmp_path / "late.parquet"
        place = table.column_names.index("Age (years)")
        pq.write_table(table.set_column(place, "Age (years)", pa.array(ages)), path, row_group_size=500)
        schema = tmp_path / "schema.yaml"
        proposed = propose_schema(str(shop_log)).schema
        leak = Feature("minutes_watched", "numerical", default=0.0)
        schema.write_text(yaml.safe_dump(Schema((*proposed.features, leak), proposed.tasks).to_dict()))
        return (*choose_log(path, schema), *SMALL_MODEL[:2])

    def test_ends_the_run_in_one_line(self, faulty_run, tmp_path):
        ran = run_command("train", *faulty_run, f"--model_dir={tmp_path / 'run'}")
        assert ran.returncode == 2, ran.stderr
        assert "late.parquet, row 3,000: Age__years_: not finite" in ran.stderr.splitlines()[-1]
        assert "Traceback" not in ran.stderr
        assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"

    def test_is_skipped_and_recorded_if_the_settings_allow_it(self, faulty_run, tmp_path):
        allow = ("--config.data.files.on_invalid=skip", "--config.data.files.max_invalid_share=0.01")
        ran = run_command("train", *faulty_run, *allow, f"--model_dir={tmp_path / 'run'}")
        assert ran.returncode == 0, ran.stderr
        [line] = (tmp_path / "run" / "quarantine.jsonl").read_text().splitlines()
        assert json.loads(line)["row"] == 3000
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert status["skipped"] == {"Age__years_: not finite": 1}
        leak = "minutes_watched alone predicts bought (AUC 1.0000)"
        assert f"Possible leak: {leak}. Remove the feature from the schema" in ran.stderr
        assert status["leaks"] == [leak]
        assert f"Possible leak: {leak}." in (tmp_path / "run" / "report.html").read_text()
        lines = (tmp_path / "run" / "metrics" / "train.jsonl").read_text().splitlines()
        assert sum(json.loads(line)["skipped_examples"] for line in lines) == 1

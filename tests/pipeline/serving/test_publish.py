"""Exports: versions, completeness, and failures during the export."""

from __future__ import annotations

import os
import time

import pytest
import tensorflow as tf
import yaml

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.pipeline.config import build
from steadyrank.pipeline.serving import export_ranker, publish


@pytest.fixture(scope="module")
def ranker() -> MultitaskRanker:
    features = (
        Feature("age", "numerical", normalization="none"),
        Feature("tags", "bag", dtype="string", vocabulary=("é\x85", "b"), width=3),
    )
    schema = Schema(features, (Task("click", "binary"), Task("minutes", "regression")))
    return MultitaskRanker(schema, shared_units=(2,), tower_units=())


def test_the_export_predicts_like_the_ranker(ranker, tmp_path):
    folder = export_ranker(ranker, tmp_path, version=3)
    assert folder == tmp_path / "3"
    columns = {"age": tf.constant([0.5, -1.0]), "tags": tf.constant([["b", ""], ["é\x85", "b"]])}
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for task, values in ranker(columns).items():
        assert serve(**columns)[task].numpy() == pytest.approx(values.numpy(), abs=1e-6)


def test_the_export_contains_the_schema(ranker, tmp_path):
    folder = export_ranker(ranker, tmp_path, version=1)
    plain = yaml.safe_load((folder / "assets.extra" / "schema.yaml").read_text(encoding="utf-8"))
    assert build(Schema, plain) == ranker.schema


def test_only_the_version_remains_in_the_folder(ranker, tmp_path):
    export_ranker(ranker, tmp_path / "new" / "folder", version=1)
    assert os.listdir(tmp_path / "new" / "folder") == ["1"]


def test_the_default_version_is_the_time_or_one_more_than_the_largest(ranker, tmp_path):
    before = int(time.time())
    first = int(export_ranker(ranker, tmp_path).name)
    assert before <= first <= time.time()
    future = first + 10**6
    (tmp_path / str(future)).mkdir()
    assert export_ranker(ranker, tmp_path).name == str(future + 1)


def test_every_name_that_a_schema_accepts_can_be_exported(tmp_path):
    names = (
        "args",
        "kwargs",
        "name",
        "training",
        "inputs",
        "match",
        "cls",
        "call",
        "serving_default",
        "x_1",
        "X" * 300,
    )
    features = [Feature(name, "numerical", normalization="none") for name in names]
    features.append(Feature("x", "categorical", num_ids=3, table="2nd/table.of-ids"))
    tasks = [
        Task(name, "binary", label=f"label of {name}") for name in ("class", "self", "Self", "loss", "x", "X" * 300)
    ]
    ranker = MultitaskRanker(Schema(tuple(features), tuple(tasks)), shared_units=(2,), tower_units=())
    folder = export_ranker(ranker, tmp_path, 1)
    columns = {name: tf.constant([0.5, 2.0]) for name in names} | {"x": tf.constant([2, 7], tf.int64)}
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](**columns)
    assert served.keys() == {task.name for task in tasks}
    for task, values in ranker(columns).items():
        assert served[task].numpy() == pytest.approx(values.numpy(), abs=1e-6)


@pytest.mark.parametrize("version", [0, -1, 1.0, "1"])
def test_a_version_must_be_a_positive_integer(ranker, tmp_path, version):
    with pytest.raises(ValueError, match="version must be a positive integer, got"):
        export_ranker(ranker, tmp_path, version)
    assert not os.listdir(tmp_path)


def test_an_existing_version_is_not_replaced(ranker, tmp_path):
    (tmp_path / "5").mkdir()
    with pytest.raises(ValueError, match=r"version 5 already exists in .*; leave version out to get a new one"):
        export_ranker(ranker, tmp_path, 5)
    assert os.listdir(tmp_path / "5") == []


def test_no_version_appears_before_the_export_is_complete(ranker, tmp_path, monkeypatch):
    seen = []
    save_model = publish._save_model

    def save_and_look(model, folder):
        save_model(model, folder)
        seen.extend(os.listdir(tmp_path))

    monkeypatch.setattr(publish, "_save_model", save_and_look)
    export_ranker(ranker, tmp_path, 7)
    assert seen == [f".incomplete-7-{os.getpid()}"]
    assert os.listdir(tmp_path) == ["7"]


def test_a_failure_during_the_export_leaves_no_files(ranker, tmp_path, monkeypatch):
    def fail_halfway(model, folder):
        (folder / "saved_model.pb").write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(publish, "_save_model", fail_halfway)
    with pytest.raises(OSError, match="No space left"):
        export_ranker(ranker, tmp_path, 7)
    assert os.listdir(tmp_path) == []

"""Datasets that TFDS wrote, read as a log and compared with what TFDS reads."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from steadyrank.models.schema import MISSING_INTEGER
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.files import conversion, layout
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.schema_inference import format_proposal, propose_schema
from steadyrank.pipeline.data.tfds.folder import format_prepare_command
from tests.pipeline.commands import run_command

TRAIN, TEST, SHARDS = 50, 20, 3
GENRES = ("Drama", "Sci-Fi: the rest, #1", "Comedy")
FEATURES = tfds.features.FeaturesDict(
    {
        "user": {"age": np.float64, "country": tfds.features.Text(), "level": np.uint8, "hash": np.uint64},
        "click": np.bool_,
        "delta": np.int32,
        "genre": tfds.features.ClassLabel(names=GENRES),
        "genres": tfds.features.Sequence(tfds.features.ClassLabel(names=GENRES)),
        "history": tfds.features.Sequence(np.int64),
        "words": tfds.features.Sequence(tfds.features.Text()),
        "seen": tfds.features.Sequence({"video": np.int32, "grid": tfds.features.Tensor(shape=(2,), dtype=np.int32)}),
        "raw": tfds.features.Tensor(shape=(), dtype=np.bytes_),
        "vector": tfds.features.Tensor(shape=(3,), dtype=np.float64),
        "matrix": tfds.features.Tensor(shape=(2, 2), dtype=np.float32),
        "packed": tfds.features.Tensor(shape=(3,), dtype=np.float32, encoding="zlib"),
        "picture": tfds.features.Image(shape=(2, 2, 3)),
        "sound": tfds.features.Audio(shape=(None,)),
        "ragged": tfds.features.Sequence(tfds.features.Sequence(np.int32)),
    }
)
SCHEMA = """
features:
  - {name: age, kind: numerical, column: user/age}
  - {name: country, kind: categorical, dtype: string, hash_buckets: 8, column: user/country}
  - {name: level, kind: numerical, column: user/level}
  - {name: hash, kind: categorical, hash_buckets: 8, column: user/hash}
  - {name: delta, kind: numerical}
  - {name: genre, kind: categorical, num_ids: 3}
  - {name: genres, kind: bag, width: 3, num_ids: 3}
  - {name: history, kind: bag, width: 4, hash_buckets: 8}
  - {name: words, kind: bag, width: 3, dtype: string, hash_buckets: 8}
  - {name: video, kind: bag, width: 2, hash_buckets: 8, column: seen/video}
  - {name: raw, kind: categorical, dtype: string, hash_buckets: 8}
  - {name: vector, kind: numerical, width: 3}
tasks:
  - {name: click, kind: binary}
"""


def row(i: int) -> dict:
    rng = np.random.default_rng(i)
    return {
        "user": {
            "age": i / 3,
            "country": ["", "pl", "żółw", "de"][i % 4],
            "level": 200 + i % 50,
            "hash": 2**64 - 2 - i,
        },
        "click": bool(i % 3 == 0),
        "delta": -i,
        "genre": i % 3,
        "genres": [1] * (i % 2),
        "history": rng.integers(0, 2**40, i % 5).tolist(),
        "words": [f"w{j}" for j in range(i % 4)],
        "seen": {"video": list(range(i % 3)), "grid": [[1, 2]] * (i % 3)},
        "raw": b"\xff\x80" + b"\1" * (i % 7),
        "vector": rng.normal(size=3),
        "matrix": np.ones((2, 2), np.float32),
        "packed": np.ones(3, np.float32),
        "picture": np.zeros((2, 2, 3), np.uint8),
        "sound": np.zeros(3, np.int64),
        "ragged": [[1]] * (i % 2),
    }


def store(folder: Path, features=FEATURES, make=row, **given) -> Path:
    """Writes a dataset of two splits and returns the folder of its version."""
    splits = {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST)}
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        **{"name": "shop", "version": "1.0.0"} | given,
        data_dir=folder,
        features=features,
        split_datasets={name: ((i, make(i)) for i in numbers) for name, numbers in splits.items()},
        download_config=tfds.download.DownloadConfig(num_shards=SHARDS),
    )
    return Path(builder.data_path)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    """A TFDS folder with the dataset ``shop``."""
    folder = tmp_path_factory.mktemp("tfds")
    store(folder)
    return folder


@pytest.fixture
def copy(data_dir, tmp_path) -> Path:
    """A copy of that folder, which a test may change."""
    return Path(shutil.copytree(data_dir, tmp_path / "copy"))


def address(data_dir: Path, split: str = "train+test", name: str = "shop") -> str:
    return f"tfds://{name}?{f'split={split}&' if split else ''}data_dir={data_dir}"


def open_log(path: str, schema_file: str, **settings) -> FileLog:
    return FileLog(Files(path=path, schema=schema_file, **settings))


def read_columns(log: FileLog, day: int) -> dict[str, np.ndarray]:
    blocks = [log.block(day, i) for i in range(len(log.block_rows(day)))]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def read_error(path: str) -> str:
    with pytest.raises(UserError) as raised:
        layout.find_layout(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(path)
    return message


class TestReading:
    def test_each_value_equals_what_tfds_reads(self, data_dir, schema_file):
        log = open_log(address(data_dir), schema_file)
        assert log.days == ["train", "test"]
        # Shard by shard: TFDS interleaves the shards by default.
        config = tfds.ReadConfig(interleave_cycle_length=1)
        builder = tfds.builder_from_directory(data_dir / "shop" / "1.0.0")
        assert len(builder.info.splits["train"].shard_lengths) == SHARDS
        for day, (split, rows) in enumerate([("train", TRAIN), ("test", TEST)]):
            actual = read_columns(log, day)
            expected = list(tfds.as_numpy(builder.as_dataset(split=split, read_config=config)))
            assert len(actual["age"]) == len(expected) == rows
            for i, row in enumerate(expected):
                user = row["user"]
                assert actual["age"][i] == user["age"]
                assert actual["country"][i] == user["country"]
                assert actual["level"][i] == user["level"]
                assert actual["hash"][i] == user["hash"].astype(np.int64)
                assert actual["delta"][i] == row["delta"]
                assert actual["genre"][i] == row["genre"]
                assert actual["raw"][i] == row["raw"]
                assert actual["click"][i] == row["click"]
                np.testing.assert_array_equal(actual["vector"][i], row["vector"])
                for name, values, filling in (
                    ("genres", row["genres"], MISSING_INTEGER),
                    ("history", row["history"], MISSING_INTEGER),
                    ("video", row["seen"]["video"], MISSING_INTEGER),
                    ("words", row["words"], b""),
                ):
                    width = actual[name].shape[1]
                    assert actual[name][i].tolist() == [*values, *[filling] * (width - len(values))]

    def test_a_single_split_is_cut_into_periods(self, data_dir, schema_file):
        log = open_log(address(data_dir, "train"), schema_file, periods=4)
        assert [sum(log.block_rows(day)) for day in range(4)] == [12, 13, 12, 13]
        both = open_log(address(data_dir, "test+train"), schema_file)
        assert both.days == ["test", "train"]
        whole = np.concatenate([read_columns(log, day)["delta"] for day in range(4)])
        np.testing.assert_array_equal(whole, read_columns(both, 1)["delta"])

    def test_opening_prints_nothing(self, data_dir, schema_file, capfd):
        open_log(address(data_dir), schema_file)
        assert capfd.readouterr() == ("", "")

    def test_the_fingerprint_changes_with_a_file(self, copy, schema_file):
        before = open_log(address(copy), schema_file).fingerprint([0, 1])
        assert open_log(address(copy), schema_file).fingerprint([0, 1]) == before
        os.utime(next((copy / "shop" / "1.0.0").glob("*train*")), ns=(1, 1))
        assert open_log(address(copy), schema_file).fingerprint([0]) != before[:1]

    def test_faulty_rows_are_written_to_the_quarantine(self, tmp_path, schema_file):
        store(tmp_path, make=lambda i: row(i) | {"vector": [np.inf if i == 7 else 0.0] * 3})
        log = open_log(address(tmp_path, "train"), schema_file, periods=1, on_invalid="skip", max_invalid_share=0.1)
        log.open_quarantine(tmp_path / "quarantine.jsonl")
        labels = read_columns(log, 0)["click"]
        [line] = map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines())
        assert line["reasons"] == ["vector: not finite"]
        assert "shop-train.tfrecord-0000" in line["file"]
        assert np.isnan(labels).sum() == 1


class TestFinding:
    def test_the_newest_version_is_the_default(self, copy):
        for version in ("9.0.0", "10.0.0"):
            shutil.copytree(copy / "shop" / "1.0.0", copy / "shop" / version)
        (copy / "shop" / "11.0.0.incomplete").mkdir()
        assert layout.find_layout(address(copy)).root == str(copy / "shop" / "10.0.0")
        assert layout.find_layout(address(copy, name="shop:9.0.0")).root == str(copy / "shop" / "9.0.0")
        message = read_error(address(copy, name="shop:2.0.0"))
        assert "'shop:2.0.0'" in message
        assert "found version 1.0.0, 9.0.0, 10.0.0 of shop" in message

    def test_the_only_config_is_the_default(self, copy):
        (copy / "shop" / "small").mkdir()
        (copy / "shop" / "1.0.0").rename(copy / "shop" / "small" / "1.0.0")
        assert layout.find_layout(address(copy)).root == str(copy / "shop" / "small" / "1.0.0")
        assert layout.find_layout(address(copy, name="shop/small:1.0.0")).root == str(copy / "shop" / "small" / "1.0.0")
        assert "found the configs small of shop; TFDS has no dataset" in read_error(address(copy, name="shop/smal"))
        shutil.copytree(copy / "shop" / "small", copy / "shop" / "large")
        assert "has the configs large, small; name one of them: tfds://shop/CONFIG" in read_error(address(copy))

    def test_the_only_split_is_the_default(self, copy):
        info = copy / "shop" / "1.0.0" / "dataset_info.json"
        description = json.loads(info.read_text())
        description["splits"] = [split for split in description["splits"] if split["name"] == "test"]
        info.write_text(json.dumps(description))
        [(name, files)] = layout.find_layout(address(copy, "")).days
        assert name == ""
        assert [Path(file).name for file in files] == [f"shop-test.tfrecord-0000{i}-of-00003" for i in range(SHARDS)]

    @pytest.mark.parametrize(
        ("split", "message"),
        [
            ("", "the dataset has train (50 rows), test (20 rows); name one split, or several"),
            ("valid", "unknown split 'valid'; the dataset has train (50 rows), test (20 rows)"),
            ("train+train", "split 'train' is named 2 times"),
            ("train[:80%]", "'train[:80%]' is a part of a split, which is not supported"),
            ("train+", "unknown split ''"),
        ],
    )
    def test_an_unavailable_split_is_refused(self, data_dir, split, message):
        assert message in read_error(address(data_dir, split))

    @pytest.mark.parametrize("path", ["tfds://", "tfds://a/b/c", "tfds://a:new", "tfds://a?splits=train", "tfds://a b"])
    def test_a_malformed_address_is_refused(self, path):
        assert "expected tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]" in read_error(path)

    def test_an_unprepared_dataset_is_refused_with_the_command_and_not_downloaded(self, data_dir, tmp_path):
        message = read_error(f"tfds://movielens/1m-ratings?data_dir={data_dir}")
        assert f"expected 'movielens/1m-ratings' prepared in '{data_dir}', but found shop;" in message
        assert format_prepare_command("movielens/1m-ratings", str(data_dir)) in message
        assert [path.name for path in data_dir.iterdir() if path.name != "downloads"] == ["shop"]
        message = read_error(f"tfds://movilens?data_dir={tmp_path / 'nowhere'}")
        assert "that folder does not exist; TFDS has no dataset of that name; did you mean movielens" in message
        assert not (tmp_path / "nowhere").exists()
        assert "found shop" in read_error(f"tfds://shopp?data_dir={data_dir}")

    def test_other_formats_are_refused(self, tmp_path):
        store(tmp_path, file_format="parquet")
        assert "expected TFRecord files, the default of TFDS, but" in read_error(address(tmp_path))
        assert "holds parquet" in read_error(address(tmp_path))


class TestDamage:
    @pytest.fixture
    def shard(self, copy) -> Path:
        return copy / "shop" / "1.0.0" / "shop-train.tfrecord-00001-of-00003"

    def read_error(self, copy: Path, schema_file: str) -> str:
        with pytest.raises(UserError) as raised:
            open_log(address(copy), schema_file)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def test_a_truncated_shard(self, copy, schema_file, shard):
        os.truncate(shard, shard.stat().st_size // 2)
        assert f"{shard}: cannot read record " in self.read_error(copy, schema_file)

    def test_a_shard_cut_between_two_records(self, copy, schema_file, shard):
        content = shard.read_bytes()
        shard.write_bytes(content[: 16 + int.from_bytes(content[:8], "little")])
        message = self.read_error(copy, schema_file)
        assert (
            f"{shard}: expected 16 records, as its dataset states, got 1; the file was truncated or replaced" in message
        )
        with pytest.raises(UserError, match="expected 16 records"):
            propose_schema(address(copy))
        with pytest.raises(UserError, match="expected 16 records"):
            conversion.convert_log(address(copy), str(copy / "target"), rows_per_group=100)

    def test_a_missing_shard(self, copy, schema_file, shard):
        shard.unlink()
        assert self.read_error(copy, schema_file) == f"{shard}: the file no longer exists; restore it"

    @pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
    def test_a_missing_or_damaged_description(self, copy, file):
        path = copy / "shop" / "1.0.0" / file
        path.write_text("{")
        assert f"cannot read the description in '{path.parent}'" in read_error(address(copy))
        path.unlink()
        assert f"cannot read the description in '{path.parent}'" in read_error(address(copy))


class TestDescribing:
    def test_the_proposal_uses_what_tfds_knows(self, data_dir, tmp_path):
        proposal = propose_schema(address(data_dir))
        # The columns of the test data are functions of the row's number, so some of them predict the label.
        features = {column.feature.name: column.feature for column in proposal.columns if column.feature}
        assert (features["genre"].kind, features["genre"].num_ids) == ("categorical", 3)
        # No row has more than one genre, and all rows have the same genre.
        assert (features["genres"].kind, features["genres"].num_ids, features["genres"].width) == ("bag", 3, 1)
        assert (features["user_country"].dtype, features["user_country"].column) == ("string", "user/country")
        assert (features["seen_video"].kind, features["seen_video"].column) == ("bag", "seen/video")
        assert (features["vector"].kind, features["vector"].width) == ("numerical", 3)
        assert [(task.name, task.kind) for task in proposal.schema.tasks] == [("click", "binary")]
        reasons = {column.name: column.exclusion_reason for column in proposal.columns if column.exclusion_reason}
        assert "array of 2 dimensions" in reasons["matrix"]
        assert "array of 2 dimensions" in reasons["seen/grid"]
        assert "array of 2 dimensions" in reasons["ragged/ragged_flat_values"]
        assert "encoding" in reasons["packed"]
        assert "images" in reasons["picture"]
        assert "audio" in reasons["sound"]
        text = format_proposal(proposal, address(data_dir))
        assert "one of 3 classes: 0 Drama, 1 Sci-Fi: the rest, #1, 2 Comedy; integers from 0 to 2" in text
        (tmp_path / "proposed.yaml").write_text(text)
        assert read(type(proposal.schema), tmp_path / "proposed.yaml") == proposal.schema
        log = open_log(address(data_dir), str(tmp_path / "proposed.yaml"))
        assert set(read_columns(log, 1)) == {*(feature.name for feature in proposal.schema.features), "click"}

    def test_a_label_of_many_classes_is_proposed_as_a_categorical_feature(self, tmp_path):
        features = {
            "label": tfds.features.ClassLabel(num_classes=500),
            "rating": tfds.features.ClassLabel(names=["bad", "good\u2028one"]),
        }
        store(tmp_path, tfds.features.FeaturesDict(features), lambda i: {"label": 7 * i, "rating": i % 2})
        proposal = propose_schema(address(tmp_path), labels=["rating"])
        [label], [rating] = proposal.schema.features, proposal.schema.tasks
        assert (label.kind, label.num_ids) == ("categorical", 500)
        assert (rating.name, rating.kind) == ("rating", "binary")
        assert "1 good one;" in format_proposal(proposal, "")
        assert propose_schema(address(tmp_path), ["label"]).tasks[0].task.kind == "regression"


class TestConverting:
    def test_several_splits_keep_their_order(self, data_dir, tmp_path, schema_file):
        target = tmp_path / "target"
        assert conversion.convert_log(address(data_dir), str(target), rows_per_group=100) == (TRAIN + TEST, 2 * SHARDS)
        assert sorted(path.name for path in target.iterdir()) == ["split=0-train", "split=1-test"]
        assert (target / "split=0-train" / "shop-train-00000-of-00003.parquet").is_file()
        self.assert_equal(open_log(address(data_dir), schema_file), open_log(str(target), schema_file))

    def test_one_split_is_a_folder_of_its_shards(self, data_dir, tmp_path, schema_file):
        target = tmp_path / "target"
        assert conversion.convert_log(address(data_dir, "train"), str(target), rows_per_group=100) == (TRAIN, SHARDS)
        assert sorted(path.name for path in target.iterdir()) == [
            f"shop-train-0000{i}-of-00003.parquet" for i in range(SHARDS)
        ]
        self.assert_equal(open_log(address(data_dir, "train"), schema_file), open_log(str(target), schema_file))

    def assert_equal(self, one: FileLog, other: FileLog) -> None:
        for day in range(len(one.days)):
            a, b = read_columns(one, day), read_columns(other, day)
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_prepared_dataset_becomes_a_served_model_without_python(movielens_dir, train, tmp_path):
    path = f"tfds://movielens/100k-ratings?data_dir={movielens_dir}"
    schema, model_dir = tmp_path / "schema.yaml", tmp_path / "run"
    described = run_command("describe", path, "--labels=user_rating,user_gender", f"--out={schema}")
    assert described.returncode == 0, described.stderr
    assert "Tasks: user_gender, user_rating" in described.stdout
    ran = train(
        model_dir,
        "--config.data.source=files",
        f"--config.data.files.path={path}",
        f"--config.data.files.schema={schema}",
        "--config.data.files.periods=5",
        "--config.data.batch_size=1024",
        "--config.data.shuffle_rows=16384",
        "--config.model.shared_units=16",
        "--config.model.tower_units=",
        small=(),
    )
    assert ran.returncode == 0, ran.stderr
    lines = map(json.loads, (model_dir / "metrics" / "eval.jsonl").read_text().splitlines())
    [held_out] = [line for line in lines if line["kind"] == "holdout"]
    # TFDS shuffles rows when it writes them, so that the users of the last period also occur in training.
    assert held_out["auc/user_gender"] > 0.6
    assert held_out["rmse/user_rating"] < held_out["rmse_of_mean/user_rating"]
    assert list((model_dir / "export").iterdir())
    resumed = train(model_dir, "--resume", small=())
    assert resumed.returncode == 0, resumed.stderr

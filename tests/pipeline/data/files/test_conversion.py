"""Conversion of a log between Parquet and TFRecord: preserved values, changed types, and refused columns."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.files.conversion import convert_log
from steadyrank.pipeline.data.files.layout import FileFormat


def make_table(rows: int, first: int = 0, **replaced) -> pa.Table:
    n = np.arange(first, first + rows)
    columns = {
        "bag": pa.array([None if i % 6 == 0 else list(range(i % 5)) for i in n], pa.list_(pa.int32())),
        "bytes": pa.array([b"\xff%d" % i for i in n]),
        "double": pa.array([None if i % 7 == 0 else i / 3 for i in n], pa.float64()),
        "float": pa.array(np.where(n % 9 == 0, np.nan, n * 0.5), pa.float32()),
        "id": pa.array(n * 2**40, pa.int64()),
        "nothing": pa.nulls(rows),
        "small": pa.array([None if i % 4 == 0 else i % 100 for i in n], pa.int8()),
        "text": pa.array([None if i % 5 == 0 else f"ä{i}" if i % 3 else "" for i in n]),
        "truth": pa.array(n % 2 == 0),
        "vector": pa.array([[i, -i] for i in n.tolist()], pa.list_(pa.float64(), 2)),
        "word": pa.array([f"w{i % 3}" for i in n]).dictionary_encode(),
        "words": pa.array([[f"w{j}" for j in range(i % 3)] or None for i in n]),
    }
    return pa.table(columns | replaced)


def convert(
    source: Path, target: Path | str, target_format: FileFormat | None = None, rows_per_group: int | None = None
) -> tuple[int, int]:
    return convert_log(str(source), str(target), target_format, rows_per_group)


def read_values(path: Path) -> dict[str, list]:
    """Returns the columns in a form that compares: an empty list is a missing value, and NaN equals NaN."""

    def comparable(value):
        value = value or None if isinstance(value, list) else value
        return "NaN" if isinstance(value, float) and math.isnan(value) else value

    read = pq.read_table(path)
    return {name: [comparable(value) for value in read.column(name).to_pylist()] for name in read.column_names}


class TestRoundTrip:
    @pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
    def test_values_are_the_same_after_a_round_trip(self, tmp_path, name):
        before, after = tmp_path / "a.parquet", tmp_path / "b.parquet"
        pq.write_table(make_table(1000), before, row_group_size=300)
        assert convert(before, tmp_path / name) == (1000, 1)
        assert convert(tmp_path / name, after, rows_per_group=400) == (1000, 1)
        expected, actual = read_values(before), read_values(after)
        assert actual.keys() == expected.keys()
        # TFRecord rounds doubles to float32.
        expected["double"] = [None if v is None else float(np.float32(v)) for v in expected["double"]]
        for column in expected:
            assert actual[column] == expected[column], column
        footer = pq.read_metadata(after)
        assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [400, 400, 200]
        kinds = {field.name: str(field.type) for field in pq.read_schema(after)}
        assert kinds == {
            "bag": "list<element: int64>",
            "bytes": "binary",
            "double": "float",
            "float": "float",
            "id": "int64",
            "nothing": "null",
            "small": "int64",
            "text": "string",
            "truth": "int64",
            "vector": "list<element: float>",
            "word": "string",
            "words": "list<element: string>",
        }
        assert (expected["small"][:3], expected["truth"][:3]) == ([None, 1, 2], [True, False, True])

    def test_folders_of_days_are_kept_and_files_have_one_schema(self, tmp_path):
        files = {"day=1/hour=0/a.parquet": 10, "day=1/b.parquet": 20, "day=2/a.parquet": 30}
        for i, (name, rows) in enumerate(files.items()):
            (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
            # In the first file, the column seems to hold single values.
            bag = pa.array([[1]] * rows if i == 0 else [[1, 2]] * rows)
            pq.write_table(make_table(rows, i * 100, bag=bag), tmp_path / "log" / name)
        (tmp_path / "log" / "day=3").mkdir()
        assert convert(tmp_path / "log", tmp_path / "records") == (60, 3)
        names = [str(path.relative_to(tmp_path / "records")) for path in (tmp_path / "records").rglob("*")]
        assert sorted(names) == sorted(
            ["day=1", "day=1/hour=0", "day=2", "day=3", *(name.replace("parquet", "tfrecord") for name in files)]
        )
        convert(tmp_path / "records", tmp_path / "again")
        for name in files:
            assert read_values(tmp_path / "again" / name)["bag"] == read_values(tmp_path / "log" / name)["bag"]
            assert read_values(tmp_path / "again" / name)["id"] == read_values(tmp_path / "log" / name)["id"]
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_a_late_column_is_kept(self, tmp_path):
        with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord-00000-of-00001")) as writer:
            for i in range(3000):
                example = tf.train.Example()
                example.features.feature["user"].int64_list.value.append(i)
                if i == 2999:
                    example.features.feature["late"].bytes_list.value.append(b"x")
                writer.write(example.SerializeToString())
        (tmp_path / "log").mkdir()
        (tmp_path / "a.tfrecord-00000-of-00001").rename(tmp_path / "log" / "a.tfrecord-00000-of-00001")
        convert(tmp_path / "log", tmp_path / "out")
        actual = read_values(tmp_path / "out" / "a-00000-of-00001.parquet")
        assert actual == {"late": [None] * 2999 + ["x"], "user": list(range(3000))}

    def test_a_log_without_rows_can_be_converted(self, tmp_path):
        pq.write_table(make_table(0), tmp_path / "a.parquet")
        assert convert(tmp_path / "a.parquet", tmp_path / "b.tfrecord") == (0, 1)
        assert convert(tmp_path / "b.tfrecord", tmp_path / "c.parquet") == (0, 1)


class TestRefusals:
    def test_groups_of_rows_have_no_meaning_for_tfrecord(self, tmp_path):
        pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
        with pytest.raises(UserError, match="--rows_per_group has no effect on TFRecord files"):
            convert(tmp_path / "a.parquet", tmp_path / "b.tfrecord", rows_per_group=10)
        assert not (tmp_path / "b.tfrecord").exists()

    def test_folders_that_are_no_days_can_be_converted(self, tmp_path):
        for folder in ("split=train", "split=test", "country=DE", "day=__HIVE_DEFAULT_PARTITION__"):
            (tmp_path / "log" / folder).mkdir(parents=True)
            pq.write_table(pa.table({"x": [1]}), tmp_path / "log" / folder / "a.parquet")
        (tmp_path / "log" / "day=2").mkdir()
        assert convert(tmp_path / "log", tmp_path / "target") == (4, 4)
        assert sorted(str(path.relative_to(tmp_path / "target")) for path in (tmp_path / "target").rglob("*")) == [
            "country=DE",
            "country=DE/a.tfrecord",
            "day=2",
            "day=__HIVE_DEFAULT_PARTITION__",
            "day=__HIVE_DEFAULT_PARTITION__/a.tfrecord",
            "split=test",
            "split=test/a.tfrecord",
            "split=train",
            "split=train/a.tfrecord",
        ]

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (
                pa.array([1, 2], pa.timestamp("us")),
                r"column 'x' has the type timestamp\[us\], which a tf.Example cannot hold",
            ),
            (pa.array([1, 2]).cast(pa.decimal128(20, 1)), r"column 'x' has the type decimal128\(20, 1\), which"),
            (pa.array([{"a": 1}] * 2), "column 'x' has the type struct<a: int64>, which"),
            (pa.array([[[1]], [[2]]]), "column 'x' has the type list<.*list<.*>>, which"),
            (pa.array([[1, None], [2]]), "column 'x' has lists with missing values"),
            (pa.array([1, 2**63], pa.uint64()), "column 'x' has numbers beyond the range of int64"),
            (pa.array([1.5, 1e300]), "column 'x' has numbers beyond the range of float32"),
            (
                pa.array([1.0, 2.0**24 + 1]),
                "column 'x' has whole numbers stored as doubles; a tf.Example holds float32",
            ),
        ],
    )
    def test_a_column_without_a_counterpart_is_refused(self, tmp_path, column, message):
        pq.write_table(pa.table({"id": [1, 2], "x": column}), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=message) as raised:
            convert(tmp_path / "a.parquet", tmp_path / "b.tfrecord")
        assert len(str(raised.value).splitlines()) == 1
        assert os.listdir(tmp_path) == ["a.parquet"]

    def test_types_that_differ_between_files_are_refused(self, tmp_path):
        for name, kind, value in (("a", "int64_list", 1), ("b", "float_list", 0.5)):
            example = tf.train.Example()
            getattr(example.features.feature["x"], kind).value.append(value)
            (tmp_path / "log").mkdir(exist_ok=True)
            with tf.io.TFRecordWriter(str(tmp_path / "log" / f"{name}.tfrecord")) as writer:
                writer.write(example.SerializeToString())
        with pytest.raises(UserError, match=r"b.tfrecord: column 'x' is float, but int64 in earlier records"):
            convert(tmp_path / "log", tmp_path / "out")

    def test_an_existing_target_is_not_touched(self, tmp_path):
        pq.write_table(make_table(10), tmp_path / "a.parquet")
        (tmp_path / "b.tfrecord").write_text("mine")
        with pytest.raises(UserError, match=r"b.tfrecord: the target already exists"):
            convert(tmp_path / "a.parquet", tmp_path / "b.tfrecord")
        assert (tmp_path / "b.tfrecord").read_text() == "mine"

    @pytest.mark.parametrize(
        ("target", "target_format", "message"),
        [
            ("log/records", None, "is inside"),
            ("out", "parquet", "is already in Parquet"),
            ("s3://bucket/out", None, "must be a local path"),
            ("a.parquet/out", None, "cannot be written"),
        ],
    )
    def test_unsuitable_targets_are_refused(self, tmp_path, target, target_format, message):
        (tmp_path / "log").mkdir()
        pq.write_table(make_table(10), tmp_path / "log" / "a.parquet")
        pq.write_table(make_table(10), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=message):
            convert(tmp_path / "log", target if "://" in target else tmp_path / target, target_format)
        assert sorted(os.listdir(tmp_path)) == ["a.parquet", "log"]

    def test_the_suffix_of_a_single_file_must_fit_the_format(self, tmp_path):
        pq.write_table(make_table(10), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=r"the name of a TFRecord file must end in \.tfrecord"):
            convert(tmp_path / "a.parquet", tmp_path / "b.parquet")

    def test_two_files_with_the_same_target_are_refused(self, tmp_path):
        for name in ("a.tfrecord", "a.tfrecords"):
            (tmp_path / "log").mkdir(exist_ok=True)
            (tmp_path / "log" / name).write_bytes(b"")
        with pytest.raises(UserError, match=r"two files would be written to a.parquet"):
            convert(tmp_path / "log", tmp_path / "out")

    def test_a_damaged_source_leaves_nothing(self, tmp_path):
        pq.write_table(make_table(1000), tmp_path / "a.parquet")
        convert(tmp_path / "a.parquet", tmp_path / "a.tfrecord")
        whole = bytearray((tmp_path / "a.tfrecord").read_bytes())
        whole[len(whole) // 2] ^= 1
        (tmp_path / "a.tfrecord").write_bytes(whole)
        with pytest.raises(UserError, match=r"a.tfrecord: cannot read record [45]\d\d"):
            convert(tmp_path / "a.tfrecord", tmp_path / "b.parquet")
        assert sorted(os.listdir(tmp_path)) == ["a.parquet", "a.tfrecord"]

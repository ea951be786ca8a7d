"""A user's own log in TFRecord files: the same blocks as from Parquet, and one line for a damaged file."""

from __future__ import annotations

import gzip
import random
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from pyarrow import fs

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches, make_training_batches
from steadyrank.pipeline.data.files import tfrecord, tfrecord_framing
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.schema_inference import propose_schema

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: price, kind: numerical, column: the.price}
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, vocabulary: [de, fr]}
- {name: code, kind: categorical, dtype: string, hash_buckets: 10}
- {name: history, kind: bag, width: 3, num_ids: 50}
- {name: words, kind: bag, dtype: string, width: 2, hash_buckets: 50}
- {name: scores, kind: numerical, width: 2, default: 0}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression, mask: answered}
"""


def make_rows(n: int, first: int = 0) -> list[dict]:
    """Returns rows in which a missing value is None."""
    return [
        {
            "age": None if i % 7 == 0 else float(i),
            "the.price": i * 0.5,
            "user": i,
            "country": None if i % 5 == 0 else b"de" if i % 2 else b"p\0l",
            "code": i % 4,
            "history": list(range(i % 5)) or None,
            "words": [b"w%d" % j for j in range(i % 4)] or None,
            "scores": None if i % 11 == 3 else [float(i), -float(i)],
            "click": i % 2,
            "minutes": float(i),
            "answered": int(i % 3 == 0),
            "not used": b"x",
        }
        for i in range(first, first + n)
    ]


def serialize_example(row: dict) -> bytes:
    built = tf.train.Example()
    for name, value in row.items():
        values = [] if value is None else value if isinstance(value, list) else [value]
        kinds = {int: "int64_list", float: "float_list", bytes: "bytes_list"}
        feature = built.features.feature[name]
        if values:
            getattr(feature, kinds[type(values[0])]).value.extend(values)
    return built.SerializeToString()


def write_records(path, records: list[bytes], options: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def log(tmp_path, schema_file, monkeypatch):
    """Writes rows to files by name and opens them as a log with groups of 10 rows."""
    monkeypatch.setattr(tfrecord, "RECORDS_PER_GROUP", 10)

    def make(files: dict[str, list[dict]], **settings) -> FileLog:
        for name, content in files.items():
            path = tmp_path / "log" / name
            if name.endswith(".parquet"):
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(content), path, row_group_size=10)
            else:
                write_records(path, [serialize_example(row) for row in content], "GZIP" if name.endswith(".gz") else "")
        return FileLog(Files(path=str(tmp_path / "log"), schema=schema_file, **settings))

    return make


def list_user_ids(batches) -> list[int]:
    ids = []
    for batch in batches:
        ids += batch["user"].numpy()[~np.isnan(batch["click"].numpy())].tolist()
    return ids


class TestSameAsParquet:
    @pytest.mark.parametrize("ending", [".tfrecord", ".tfrecord.gz", ".tfrecords", ".tfrecord-00000-of-00001"])
    def test_every_block_is_equal(self, log, tmp_path, ending):
        parquet = log({"a.parquet": make_rows(57)}, periods=2)
        expected = [[parquet.block(day, i) for i in range(len(parquet.block_rows(day)))] for day in (0, 1)]
        (tmp_path / "log" / "a.parquet").unlink()
        records = log({f"a{ending}": make_rows(57)}, periods=2)
        assert [list(records.block_rows(day)) for day in (0, 1)] == [[len(b["age"]) for b in d] for d in expected]
        for day, blocks in enumerate(expected):
            for index, block in enumerate(blocks):
                actual = records.block(day, index)
                assert actual.keys() == block.keys()
                for name, column in block.items():
                    assert actual[name].dtype.kind == column.dtype.kind
                    np.testing.assert_array_equal(actual[name], column, name)

    def test_a_compressed_file_is_detected_by_its_content(self, log, tmp_path):
        plain = log({"a.tfrecord": make_rows(20)}, periods=1).block(0, 1)
        path = tmp_path / "log" / "a.tfrecord"
        path.write_bytes(gzip.compress(path.read_bytes()[:500]) + gzip.compress(path.read_bytes()[500:]) + b"\0" * 9)
        packed = log({}, periods=1).block(0, 1)
        for name, column in plain.items():
            np.testing.assert_array_equal(packed[name], column)

    @pytest.mark.parametrize(
        "name", ["part-r-00000", "a.tfrecords.gz", "part-00001-4f2a-c000.gz", "a.tfrecord-00000-of-00001"]
    )
    @pytest.mark.parametrize("options", ["", "GZIP"])
    def test_the_names_of_other_writers_are_known(self, log, tmp_path, name, options):
        write_records(tmp_path / "log" / name, list(map(serialize_example, make_rows(9))), options)
        assert log({}, periods=1).block(0, 0)["user"].tolist() == list(range(9))

    def test_days_are_in_the_order_of_their_names(self, log):
        source = log(
            {
                "day=2/b.tfrecord": make_rows(5, 30),
                "day=1/hour=1/a.tfrecord.gz": make_rows(10, 20),
                "day=1/hour=0/z.tfrecord": make_rows(20),
            }
        )
        assert source.days == ["day=1", "day=2"]
        assert [list(source.block_rows(day)) for day in (0, 1)] == [[10, 10, 10], [5]]
        assert list_user_ids(make_evaluation_batches(source, 0, batch_size=4)) == list(range(30))

    @pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
    def test_reading_can_start_at_any_batch(self, log, name):
        source = log({name: make_rows(61)}, periods=1)

        def read(start):
            return list_user_ids(make_training_batches(source, 0, batch_size=8, seed=3, shuffle_rows=25, start=start))

        whole = read(0)
        assert sorted(whole) == list(range(61))
        for start in (1, 3, 7):
            assert read(start) == whole[8 * start :]

    def test_a_faulty_row_is_reported_with_its_place(self, log):
        content = make_rows(30)
        content[13]["the.price"], content[17]["scores"] = float("nan"), [1.0, 2.0, 3.0]
        source = log({"a.tfrecord": content}, periods=1)
        with pytest.raises(UserError, match=r"a.tfrecord, row 13: price: not finite; 2 of 10 rows"):
            source.block(0, 1)


class TestColumns:
    def test_equal_values_of_another_type_give_equal_columns(self, log):
        plain = log({"a.tfrecord": make_rows(10)}, periods=1).block(0, 0)
        content = make_rows(10)
        for row in content:
            row["age"] = None if row["age"] is None else int(row["age"])
            row["user"] = float(row["user"])
            row["click"], row["answered"] = float(row["click"]), float(row["answered"])
            row["scores"] = None if row["scores"] is None else [int(value) for value in row["scores"]]
        other = log({"a.tfrecord": content}, periods=1).block(0, 0)
        for name, column in plain.items():
            np.testing.assert_array_equal(other[name], column)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("user", b"a", "column 'user' should be whole numbers, but the file has binary"),
            ("user", 0.5, "column 'user' should be whole numbers, but the file has float"),
            ("user", [1, 2], "column 'user' should be whole numbers, but the file has list<item: int64>"),
            ("age", b"1", "column 'age' should be numbers, but the file has binary"),
            ("country", 0.5, "column 'country' should be strings, but the file has float"),
            ("history", [0.5], "column 'history' should be lists of whole numbers, but the file has list<item: float>"),
            (
                "click",
                b"maybe",
                "one of the strings 1, true, t, yes, y, 0, false, f, no, n), but the file has the string 'maybe'",
            ),
        ],
    )
    def test_a_wrong_type_is_refused(self, log, name, value, message):
        source = log({"a.tfrecord": [row | {name: value} for row in make_rows(8)]}, periods=1)
        with pytest.raises(UserError, match=r"a\.tfrecord: ") as raised:
            source.block(0, 0)
        assert message in str(raised.value)

    def test_a_column_that_no_record_has_is_refused(self, log):
        content = make_rows(25)
        for row in content:
            del row["answered"]
            row["other"] = 1
        source = log({"a.tfrecord": content}, periods=1)
        with pytest.raises(
            UserError, match=r"'answered', the mask of task 'minutes', is missing; the file has age, .*other"
        ):
            source.block(0, 0)

    def test_a_late_column_is_found(self, log, monkeypatch):
        monkeypatch.setattr(tfrecord, "NUM_INSPECTED_RECORDS", 5)
        content = make_rows(25)
        for row in content[:22]:
            del row["age"]
        source = log({"a.tfrecord": content}, periods=1)
        assert np.isnan(source.block(0, 0)["age"]).all()
        assert source.block(0, 2)["age"][2:].tolist() == [22, 23, 24]

    def test_a_column_that_is_always_empty_is_missing(self, log):
        source = log({"a.tfrecord": [row | {"age": None, "country": None} for row in make_rows(9)]}, periods=1)
        assert np.isnan(source.block(0, 0)["age"]).all()
        assert set(source.block(0, 0)["country"].tolist()) == {b""}

    def test_a_column_that_changes_its_type_is_refused_with_the_record(self, log):
        content = make_rows(30)
        content[26]["user"] = b"a"
        source = log({"a.tfrecord": content}, periods=1)
        source.block(0, 1)
        with pytest.raises(
            UserError, match=r"column 'user' is int64 in the file's first records, but string in record 26"
        ):
            source.block(0, 2)


class TestSequenceExamples:
    """The values of all steps of a list of features form one list."""

    @pytest.fixture
    def sequence_log(self, log, tmp_path):
        def write(count: int = 25, change=lambda i, example: None):
            records = []
            for i, row in enumerate(make_rows(count)):
                lists = {name: row.pop(name) for name in ("history", "words")}
                example = tf.train.SequenceExample.FromString(serialize_example(row))
                for name, values in lists.items():
                    steps = example.feature_lists.feature_list[name].feature
                    for value in values or ():
                        kind = "int64_list" if name == "history" else "bytes_list"
                        getattr(steps.add(), kind).value.append(value)
                change(i, example)
                records.append(example.SerializeToString())
            write_records(tmp_path / "log" / "a.tfrecord", records)
            return log({}, periods=1)

        return write

    def test_they_are_read_like_examples(self, log, tmp_path, sequence_log):
        sequences = sequence_log()
        blocks = [sequences.block(0, i) for i in range(3)]
        (tmp_path / "log" / "a.tfrecord").unlink()
        examples = log({"a.tfrecord": make_rows(25)}, periods=1)
        for i, block in enumerate(blocks):
            for name, column in examples.block(0, i).items():
                np.testing.assert_array_equal(block[name], column, err_msg=name)

    def test_a_list_may_be_missing_or_have_a_step_without_values(self, sequence_log):
        def change(i, example):
            if i == 3:
                del example.feature_lists.feature_list["history"]
            if i == 4:
                example.feature_lists.feature_list["history"].feature.add()

        history = sequence_log(5, change).block(0, 0)["history"]
        assert history[3:].tolist() == [[-1, -1, -1], [0, 1, 2]]

    def test_a_list_that_changes_its_type_is_refused_with_the_record(self, sequence_log):
        def change(i, example):
            if i == 14:
                example.feature_lists.feature_list["history"].feature[0].float_list.value.append(1)

        with pytest.raises(
            UserError, match="column 'history' is int64 in the file's first records, but float32 in record 14"
        ):
            sequence_log(25, change).block(0, 1)

    def test_a_name_that_is_a_feature_and_a_list_is_refused(self, sequence_log):
        def change(i, example):
            example.context.feature["history"].int64_list.value.append(1)

        with pytest.raises(UserError, match="record 0: 'history' is both a feature and a list of features"):
            sequence_log(5, change).block(0, 0)


class TestDamage:
    @pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
    def test_truncation_and_flipped_bits_are_reported_in_one_line(self, log, tmp_path, name):
        whole_log = log({name: make_rows(40)}, periods=1)
        expected = [whole_log.block(0, i) for i in range(4)]
        path = tmp_path / "log" / name
        whole = path.read_bytes()
        draw = random.Random(0)
        messages = []
        for trial in range(120):
            broken = bytearray(whole)
            if trial % 2:
                del broken[draw.randrange(1, len(whole)) :]
            else:
                broken[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            path.write_bytes(broken)
            try:
                source = log({}, periods=1)
                actual = [source.block(0, i) for i in range(len(source.block_rows(0)))]
            except UserError as error:
                messages.append(str(error))
                continue
            # The file was truncated between two records, or the bit is one that gzip does not check: all blocks read must be right.
            for block, right in zip(actual, expected, strict=False):
                for column in block:
                    np.testing.assert_array_equal(block[column], right[column][: len(block[column])])
        assert len(messages) > 105
        assert all(name in message and len(message.splitlines()) == 1 for message in messages)

    def test_the_damaged_record_is_named(self, log, tmp_path):
        log({"a.tfrecord": make_rows(25)}, periods=1)
        path = tmp_path / "log" / "a.tfrecord"
        whole = path.read_bytes()
        starts = [0]
        for row in make_rows(25):
            starts.append(starts[-1] + 16 + len(serialize_example(row)))
        path.write_bytes(whole[:-3])
        with pytest.raises(UserError, match="cannot read record 24: the file ends inside it; the file is damaged"):
            log({}, periods=1)
        for offset, problem in ((2, "its length does not match"), (40, "its data does not match")):
            broken = bytearray(whole)
            broken[starts[17] + offset] ^= 8
            path.write_bytes(broken)
            with pytest.raises(UserError, match=f"cannot read record 17: {problem} its checksum; the file is damaged"):
                log({}, periods=1).block(0, 1)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "the log has no rows"),
            (b"no record", "cannot read record 0"),
            (b"PAR1" * 20, "expected TFRecord, .*, got a Parquet file; rename it to end in .parquet"),
            (zlib.compress(b"records"), "got data compressed with zlib; write the file again with gzip"),
            (b"\x28\xb5\x2f\xfd" + b"-" * 20, "got data compressed with zstd"),
            (b"\xff\x06\x00\x00sNaPpY" + b"-" * 20, "got data compressed with snappy"),
            (b"-" * 20, "cannot read record 0: the file does not begin like a TFRecord file"),
            (gzip.compress(b"no record, as it seems", mtime=0), "cannot read record 0"),
        ],
    )
    def test_other_files_are_refused(self, log, tmp_path, content, message):
        (tmp_path / "log").mkdir()
        (tmp_path / "log" / "a.tfrecord").write_bytes(content)
        with pytest.raises(UserError, match=message):
            log({}, periods=1)

    def test_records_that_are_not_examples_are_refused(self, log, tmp_path):
        write_records(
            tmp_path / "log" / "a.tfrecord",
            [*map(serialize_example, make_rows(13)), b"\x0a\xff\x01junk", serialize_example(make_rows(1)[0])],
        )
        source = log({}, periods=1)
        source.block(0, 0)
        with pytest.raises(UserError, match=r"cannot read record 13: it is not a tf.Example"):
            source.block(0, 1)

    def test_a_file_that_is_removed_or_changed_after_opening_is_reported(self, log, tmp_path):
        source = log({"a.tfrecord": make_rows(20), "b.tfrecord": make_rows(20)}, periods=1)
        (tmp_path / "log" / "b.tfrecord").unlink()
        with pytest.raises(UserError, match=r"b.tfrecord: the file no longer exists"):
            source.block(0, 2)
        path = tmp_path / "log" / "a.tfrecord"
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(UserError, match=r"a.tfrecord: cannot read record 19"):
            source.block(0, 1)


def test_a_file_can_be_indexed_in_several_chunks(tmp_path, monkeypatch):
    write_records(tmp_path / "a.tfrecord", [serialize_example(row) for row in make_rows(53)])
    monkeypatch.setattr(tfrecord, "RECORDS_PER_GROUP", 7)
    whole = tfrecord.TFRecordReader(fs.LocalFileSystem(), None)
    monkeypatch.setattr(tfrecord_framing, "READ_BYTES", 700)
    parts = tfrecord.TFRecordReader(fs.LocalFileSystem(), None)
    file = str(tmp_path / "a.tfrecord")
    assert whole.group_rows(file) == parts.group_rows(file) == [7] * 7 + [4]
    assert whole.read_table(file, 5).equals(parts.read_table(file, 5))


def test_decompressed_files_beyond_the_memory_limit_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord, "_MAX_DECOMPRESSED_BYTES", 1)
    reader = tfrecord.TFRecordReader(fs.LocalFileSystem(), None)
    for name in ("a", "b"):
        write_records(tmp_path / f"{name}.tfrecord.gz", [serialize_example(row) for row in make_rows(5)], "GZIP")
        reader.group_rows(str(tmp_path / f"{name}.tfrecord.gz"))
    assert list(reader._decompressed) == [str(tmp_path / "b.tfrecord.gz")]


def test_a_schema_is_proposed_for_tfrecord(log, tmp_path):
    clicks = np.random.default_rng(0).integers(0, 2, 600).tolist()
    rows = [row | {"click": click} for row, click in zip(make_rows(600), clicks, strict=True)]
    log({"day=1/a.tfrecord": rows[:300], "day=2/a.tfrecord.gz": rows[300:]})
    proposal = propose_schema(str(tmp_path / "log"))
    assert (proposal.rows, proposal.sampled_rows, list(proposal.days)) == (600, 600, ["day=1", "day=2"])
    features = {feature.name: (feature.kind, feature.dtype, feature.width) for feature in proposal.schema.features}
    assert features["age"] == ("numerical", "float32", 1)
    assert features["country"] == ("categorical", "string", 1)
    assert features["history"] == ("bag", "int64", 4)
    assert features["words"] == ("bag", "string", 3)
    assert features["scores"] == ("numerical", "float32", 2)
    assert {task.name: task.kind for task in proposal.schema.tasks} == {"click": "binary"}

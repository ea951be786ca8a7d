"""A user's own log in Parquet: which files are which day, what becomes of each column, and what is done with faulty rows."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches, make_training_batches
from steadyrank.pipeline.data.feature_statistics import compute_statistics
from steadyrank.pipeline.data.files import layout
from steadyrank.pipeline.data.files.arrow_columns import convert_table
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.source import decode_columns

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: price, kind: numerical, column: the.price}
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, vocabulary: [de, fr]}
- {name: history, kind: bag, width: 3, num_ids: 50}
- {name: scores, kind: numerical, width: 2}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression, mask: answered}
"""


def table(rows: int, first: int = 0, **replaced) -> pa.Table:
    n = np.arange(first, first + rows)
    columns = {
        "age": pa.array([None if i % 7 == 0 else float(i) for i in n], pa.float64()),
        "the.price": pa.array(n * 0.5, pa.float32()),
        "user": pa.array(n, pa.int64()),
        "country": pa.array([None if i % 5 == 0 else "de" if i % 2 else "pl" for i in n]),
        "history": pa.array([None if i % 6 == 0 else list(range(i % 5)) for i in n], pa.list_(pa.int32())),
        "scores": pa.array([[i, -i] for i in n.tolist()], pa.list_(pa.float64(), 2)),
        "click": pa.array(n % 2 == 0),
        "minutes": pa.array(n * 1.0),
        "answered": pa.array([i % 3 == 0 for i in n]),
        "not used": pa.array(["x"] * rows),
    }
    return pa.table(columns | replaced)


@pytest.fixture
def log(tmp_path, schema_file):
    """Writes files by name and opens them as a log."""

    def make(files: dict[str, pa.Table], group: int = 10, **settings) -> FileLog:
        root = tmp_path / "log"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(content, path, row_group_size=group)
        return FileLog(Files(path=str(root), schema=schema_file, **settings))

    return make


def rows_of(batches, name: str = "user") -> list[int]:
    """The rows that count, of a schema whose ids are the rows' numbers."""
    found = []
    for batch in batches:
        there = ~np.isnan(batch["click"].numpy())
        found += batch[name].numpy()[there].tolist()
    return found


class TestColumns:
    def test_become_what_the_schema_says(self, log):
        block = log({"a.parquet": table(8)}, periods=1).block(0, 0)
        np.testing.assert_array_equal(block["age"], np.array([np.nan, 1, 2, 3, 4, 5, 6, np.nan], np.float32))
        np.testing.assert_array_equal(block["price"], np.arange(8, dtype=np.float32) * 0.5)
        assert block["country"].tolist() == [b"", b"de", b"pl", b"de", b"pl", b"", b"pl", b"de"]
        assert block["history"].tolist()[:5] == [[-1, -1, -1], [0, -1, -1], [0, 1, -1], [0, 1, 2], [0, 1, 2]]
        assert block["scores"].tolist()[3] == [3, -3]
        assert block["click"].tolist() == [1, 0] * 4
        np.testing.assert_array_equal(
            block["minutes.label"], np.array([0, np.nan, np.nan, 3, np.nan, np.nan, 6, np.nan], np.float32)
        )
        dtypes = {name: column.dtype.kind for name, column in block.items()}
        assert dtypes == {
            "age": "f",
            "price": "f",
            "user": "i",
            "country": "S",
            "history": "i",
            "scores": "f",
            "click": "f",
            "minutes.label": "f",
        }

    @pytest.mark.parametrize(
        ("replaced", "name"),
        [
            ({"user": pa.array(np.arange(8), pa.int32())}, "user"),
            ({"user": pa.array(np.arange(8), pa.uint64())}, "user"),
            ({"user": pa.array([float(i) for i in range(8)])}, "user"),
            ({"user": pa.array(np.arange(8)).dictionary_encode()}, "user"),
            ({"age": pa.array([None, *range(1, 7), None], pa.int16())}, "age"),
            ({"age": pa.array([None, *range(1, 7), None], pa.float64()).cast(pa.decimal128(9, 2))}, "age"),
            ({"country": table(8)["country"].cast(pa.large_string())}, "country"),
            ({"country": table(8)["country"].cast(pa.binary())}, "country"),
            ({"country": table(8)["country"].dictionary_encode()}, "country"),
            ({"history": table(8)["history"].cast(pa.large_list(pa.int64()))}, "history"),
            ({"scores": pa.array([[float(i), -float(i)] for i in range(8)])}, "scores"),
            ({"click": pa.array([1, 0] * 4)}, "click"),
            ({"click": pa.array([1.0, 0.0] * 4)}, "click"),
        ],
    )
    def test_types_that_hold_the_same_give_the_same(self, log, schema_file, replaced, name):
        plain = log({"a.parquet": table(8)}, periods=1).block(0, 0)
        other, faults = convert_table(table(8, **replaced), schema_of(schema_file), "other")
        np.testing.assert_array_equal(decode_columns(other)[name], plain[name])
        assert not faults

    @pytest.mark.parametrize(
        ("replaced", "told"),
        [
            ({"user": pa.array(["a"] * 8)}, "column 'user' should be whole numbers, but the file has string"),
            ({"user": pa.array([0.5] * 8)}, "column 'user' should be whole numbers, but the file has double"),
            ({"age": pa.array(["1"] * 8)}, "column 'age' should be numbers, but the file has string"),
            ({"country": pa.array([0.5] * 8)}, "column 'country' should be strings, but the file has double"),
            ({"history": pa.array([1] * 8)}, "column 'history' should be lists of whole numbers"),
            ({"click": pa.array(["yes"] * 8)}, "column 'click' should be a label (a number or a boolean)"),
        ],
    )
    def test_others_are_told_with_file_column_and_both_types(self, log, replaced, told):
        source = log({"a.parquet": table(8, **replaced)}, periods=1)
        with pytest.raises(UserError, match=r"a\.parquet") as raised:
            source.block(0, 0)
        assert told in str(raised.value)

    def test_a_missing_one_is_told_with_those_that_are_there(self, log):
        source = log({"a.parquet": table(8).drop_columns(["answered"])}, periods=1)
        with pytest.raises(
            UserError, match=r"column 'answered', the mask of task 'minutes', is missing; the file has age, "
        ):
            source.block(0, 0)
        named = table(8).rename_columns([name.replace("answered", "Answered") for name in table(8).column_names])
        with pytest.raises(UserError, match=r"is missing; the file has age.*; did you mean 'Answered'\?"):
            log({"a.parquet": named}, periods=1).block(0, 0)
        with pytest.raises(UserError, match=r"is missing; the file has other, too"):
            log({"a.parquet": pa.table({"other": [1], "too": [2]})}, periods=1).block(0, 0)


def schema_of(path: str) -> Schema:
    from steadyrank.pipeline.config import read

    return read(Schema, path)


class TestDays:
    def test_folders_of_days_in_their_order_with_what_lies_deeper(self, log):
        source = log(
            {
                "day=2026-11-02/b.parquet": table(5, 20),
                "day=2026-11-01/hour=1/a.parquet": table(10, 10),
                "day=2026-11-01/hour=0/z.parquet": table(10),
                "day=2026-11-02/_SUCCESS.parquet": table(3, 500),
                "_metadata.parquet": table(3, 500),
            }
        )
        assert source.days == ["day=2026-11-01", "day=2026-11-02"]
        assert [list(source.block_rows(day)) for day in (0, 1)] == [[10, 10], [5]]
        assert rows_of(make_evaluation_batches(source, 0, batch_size=4)) == list(range(20))
        assert rows_of(make_evaluation_batches(source, 1, batch_size=4)) == list(range(20, 25))

    def test_without_folders_the_rows_are_cut_into_periods(self, log):
        source = log({"a.parquet": table(23), "b.parquet": table(10, 23)}, periods=4)
        assert source.days == ["period_0", "period_1", "period_2", "period_3"]
        got = [rows_of(make_evaluation_batches(source, day, batch_size=5)) for day in range(4)]
        assert [len(each) for each in got] == [8, 8, 8, 9]
        assert [row for each in got for row in each] == list(range(33))

    def test_one_file_is_a_log(self, tmp_path, schema_file):
        pq.write_table(table(30), tmp_path / "one.parquet")
        source = FileLog(Files(path=str(tmp_path / "one.parquet"), schema=schema_file, periods=3))
        assert [sum(source.block_rows(day)) for day in range(3)] == [10, 10, 10]

    def test_a_day_without_rows_is_told(self, log, tmp_path):
        (tmp_path / "log" / "day=2").mkdir(parents=True)
        with pytest.raises(UserError, match="day=2 has no rows"):
            log({"day=1/a.parquet": table(5)})
        with pytest.raises(UserError, match="day=2 has no rows"):
            log({"day=1/a.parquet": table(5), "day=2/a.parquet": table(0)})

    @pytest.mark.parametrize(
        ("files", "told"),
        [
            ({}, "no such file or folder"),
            ({"a.csv": b"1,2"}, "the folder has no Parquet or TFRecord file"),
            ({"a.parquet": b"1", "b.tfrecord": b"2"}, "the folder mixes Parquet and TFRecord files"),
            ({"a.parquet": b"1", "day=1/b.parquet": b"2"}, "some files are outside the folders of days"),
            ({"a.parquet": b"PAR1 no, it is none"}, "cannot read the footer: .*; the file is damaged, not Parquet"),
            ({"a.parquet": b""}, "cannot read the footer: .*; the file is damaged, not Parquet"),
        ],
    )
    def test_what_cannot_be_a_log_is_told(self, tmp_path, schema_file, files, told):
        for name, content in files.items():
            (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "log" / name).write_bytes(content)
        with pytest.raises(UserError, match=told) as raised:
            FileLog(Files(path=str(tmp_path / "log"), schema=schema_file))
        assert len(str(raised.value).splitlines()) == 1

    def test_an_address_that_arrow_does_not_know_is_told(self):
        with pytest.raises(UserError, match="Arrow cannot open this address"):
            layout.find_layout("nowhere://bucket/log")

    def test_a_file_that_vanished_or_was_damaged_meanwhile_is_told(self, log, tmp_path):
        source = log({"a.parquet": table(20), "b.parquet": table(20, 20)}, periods=1)
        (tmp_path / "log" / "b.parquet").unlink()
        with pytest.raises(UserError, match=r"b.parquet: the file no longer exists"):
            source.block(0, 2)
        whole = (tmp_path / "log" / "a.parquet").read_bytes()
        (tmp_path / "log" / "a.parquet").write_bytes(whole[:200])
        with pytest.raises(UserError, match=r"a.parquet: cannot read row group 1"):
            source.block(0, 1)


class TestOrder:
    def test_rows_of_many_blocks_are_mixed_and_each_comes_once(self, log):
        source = log({"a.parquet": table(95)}, periods=1)

        def rows(**given):
            return rows_of(make_training_batches(source, 0, batch_size=8, seed=1, **given))

        mixed = rows(shuffle_rows=40)
        assert sorted(mixed) == list(range(95))
        # The first window holds rows of blocks from all over the log.
        assert len({row // 10 for row in mixed[:40]}) == 4
        assert {row // 10 for row in mixed[:40]} != {0, 1, 2, 3}
        assert mixed == rows(shuffle_rows=40)
        assert mixed != rows(shuffle_rows=40, pass_index=1)
        assert rows(shuffle_rows=0)[:10] != list(range(10))
        assert sorted(rows(shuffle_rows=0)[:10]) == list(range(10))

    @pytest.mark.parametrize("shuffle_rows", [0, 25, 1000])
    def test_the_columns_of_a_row_stay_together(self, log, shuffle_rows):
        """Strings too, of which each block has its own list, the later ones with longer strings."""
        names = pa.array([f"country {2 ** (i // 10)}" for i in range(61)])
        source = log({"a.parquet": table(61, country=names)}, periods=1)
        batches = list(make_training_batches(source, 0, batch_size=8, seed=3, shuffle_rows=shuffle_rows))
        for batch in batches:
            users = batch["user"].numpy()
            assert [name.decode() for name in batch["country"].numpy()] == names.take(pa.array(users)).to_pylist()
            np.testing.assert_array_equal(batch["price"].numpy(), users * np.float32(0.5))
            np.testing.assert_array_equal(batch["scores"].numpy(), np.stack([users, -users], axis=1))
        assert len(batches) == 8

    @pytest.mark.parametrize("shuffle_rows", [0, 25, 1000])
    def test_from_any_batch_on_the_rest_comes_without_what_was_before(self, log, shuffle_rows):
        source = log({"a.parquet": table(61), "b.parquet": table(30, 61)}, periods=1)

        def rows(start):
            return rows_of(
                make_training_batches(source, 0, batch_size=8, seed=3, shuffle_rows=shuffle_rows, start=start)
            )

        whole = rows(0)
        for start in (1, 3, 7, 11):
            assert rows(start) == whole[8 * start :]


class TestLearned:
    def test_what_was_learned_of_all_rows_is_found_again_until_a_file_changes(self, log, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        source = log({"a.parquet": table(50)}, periods=5)
        first = compute_statistics(source, 0, days=range(4))
        [cached] = (tmp_path / "cache" / "steadyrank").iterdir()
        read = []
        monkeypatch.setattr(source, "block", lambda *place: read.append(place))
        again = compute_statistics(source, 0, days=range(4))
        assert not read
        assert again.schema == first.schema
        for kind in ("mean", "deviation"):
            for name, value in getattr(first.statistics, kind).items():
                np.testing.assert_array_equal(getattr(again.statistics, kind)[name], value)
        assert again.statistics.label_mean == first.statistics.label_mean
        cached.write_text(cached.read_text()[:-10])
        changed = log({"a.parquet": table(50)}, periods=5)
        assert compute_statistics(changed, 0, days=range(4)).statistics.label_mean == first.statistics.label_mean
        log({"a.parquet": table(50, 7)}, periods=5)
        other = compute_statistics(log({}, periods=5), 0, days=range(4))
        assert other.statistics.mean["price"] != first.statistics.mean["price"]

    def test_a_cache_that_cannot_be_written_is_none(self, log, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert compute_statistics(log({"a.parquet": table(50)}, periods=5), 0).statistics.label_mean["click"] == 0.5

    def test_parts_put_together_are_as_the_whole(self, log):
        source = log({"a.parquet": table(64)}, periods=1)
        price = np.arange(64) * 0.5
        statistics = compute_statistics(source, 40).statistics
        assert statistics.mean["price"] == pytest.approx(price[:40].mean())
        assert statistics.deviation["price"] == pytest.approx(price[:40].std())


class TestFaultyRows:
    def faulty(self) -> pa.Table:
        prices = [i * 0.5 for i in range(100)]
        prices[13], prices[40] = float("nan"), float("inf")
        clicks = [float(i % 2) for i in range(100)]
        clicks[41], clicks[42] = 2.0, None
        scores = [[i, -i] for i in range(100)]
        scores[77] = [1, 2, 3]
        return table(
            100,
            **{
                "the.price": pa.array(prices),
                "click": pa.array(clicks),
                "scores": pa.array(scores, pa.list_(pa.float64())),
            },
        )

    def test_fail_names_file_row_reason_and_remedy(self, log):
        source = log({"a.parquet": self.faulty()}, periods=1)
        source.block(0, 0)
        with pytest.raises(UserError, match=r"a.parquet, row 13: price: not finite; 1 of 10 rows .*on_invalid=skip"):
            source.block(0, 1)

    def test_skip_keeps_every_other_row_in_its_place_and_counts(self, log, tmp_path):
        source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.1)
        source.open_quarantine(tmp_path / "quarantine.jsonl")
        for _ in range(2):  # each is counted once, however often it is read
            rows = rows_of(make_evaluation_batches(source, 0, batch_size=8))
        # 42 has no label, which is no fault.
        assert rows == [i for i in range(100) if i not in (13, 40, 41, 42, 77)]
        assert source.row_faults.skipped == {
            "price: not finite": 2,
            "click: out of range": 1,
            "scores: not 2 numbers": 1,
        }
        lines = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
        assert [line["row"] for line in lines] == [13, 40, 41, 77]
        assert lines[1]["reasons"] == ["price: not finite"]
        assert lines[1]["values"]["price"] == "inf"
        assert lines[1]["values"]["user"] == 40
        for batch in make_evaluation_batches(source, 0, batch_size=8):
            assert np.isfinite(batch["price"].numpy()).all()

    def test_what_stands_in_the_quarantine_is_not_written_again(self, log, tmp_path):
        path = tmp_path / "quarantine.jsonl"
        for _ in range(2):
            source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.1)
            source.open_quarantine(path)
            for index in range(10):
                source.block(0, index)
        assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [13, 40, 41, 77]
        # A process that was killed in the middle of a line.
        path.write_bytes(path.read_bytes()[:-20])
        source.open_quarantine(path)
        source._recorded_blocks.clear()
        source.block(0, 7)
        assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [13, 40, 41, 77]

    def test_beyond_the_budget_the_run_fails_in_one_line(self, log):
        source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.02)
        with pytest.raises(
            UserError, match=r"more than 2.00% of the rows are faulty \(3 of 100 so far; the latest is .*row 40"
        ):
            [source.block(0, index) for index in range(10)]

    def test_clamp_puts_numbers_to_their_bounds_and_skips_what_has_none(self, tmp_path):
        schema = tmp_path / "bounded.yaml"
        schema.write_text(
            """
features:
- {name: user, kind: categorical, hash_buckets: 100}
- {name: price, kind: numerical, minimum: 0, maximum: 10}
- {name: scores, kind: numerical, width: 2, maximum: 5}
- {name: free, kind: numerical}
tasks:
- {name: click, kind: binary}
- {name: stars, kind: regression, minimum: 1, maximum: 5}
"""
        )
        numbers = {
            "user": list(range(6)),
            "price": [1.0, -3.0, np.inf, 4.0, np.nan, 2.0],
            "scores": [[1.0, 9.0], [0.0, 0.0], [-np.inf, 1.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0]],
            "free": [0.0, 1.0, 2.0, np.inf, 4.0, 5.0],
            "click": [1.5, 0.0, 1.0, 1.0, -1.0, 1.0],
            "stars": [3.0, 7.0, np.nan, 0.0, 1.0, 5.0],
        }
        pq.write_table(pa.table(numbers), tmp_path / "a.parquet")

        def opened(on_invalid):
            settings = Files(
                path=str(tmp_path / "a.parquet"),
                schema=str(schema),
                periods=1,
                on_invalid=on_invalid,
                max_invalid_share=1.0,
            )
            return FileLog(settings)

        source = opened("clamp")
        source.open_quarantine(tmp_path / "quarantine.jsonl")
        block = source.block(0, 0)
        # Rows 2 to 4 have a number without a bound, or none at all.
        good = [0, 1, 5]
        assert block["price"][good].tolist() == [1, 0, 2]
        assert block["scores"][good].tolist() == [[1, 5], [0, 0], [2, 2]]
        assert block["click"][good].tolist() == [1, 0, 1]
        assert block["stars"][good].tolist() == [3, 5, 5]
        assert np.isnan(block["click"][[2, 3, 4]]).all()
        assert np.isnan(block["stars"][[2, 3, 4]]).all()
        assert source.row_faults.skipped == {"scores: not finite": 1, "free: not finite": 1, "price: not finite": 1}
        assert source.row_faults.clamped == {
            "price: out of range": 1,
            "scores: out of range": 1,
            "click: out of range": 1,
            "stars: out of range": 1,
        }
        lines = {
            line["row"]: line for line in map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines())
        }
        assert sorted(lines) == [0, 1, 2, 3, 4]
        assert [row for row in lines if lines[row].get("clamped")] == [0, 1]
        # Another process of the run counts what stands there, and nothing twice.
        again = opened("clamp")
        again.open_quarantine(tmp_path / "quarantine.jsonl")
        again.block(0, 0)
        assert again.row_faults == source.row_faults
        assert again.row_faults.skipped_rows == 3

        skipping = opened("skip")
        assert np.isnan(skipping.block(0, 0)["click"]).tolist() == [True] * 5 + [False]
        with pytest.raises(UserError, match=r"a.parquet, row 0: scores: out of range; 5 of 6 rows"):
            opened("fail").block(0, 0)

    def test_more_than_float32_holds_is_not_finite(self, log):
        source = log({"a.parquet": table(8, **{"the.price": pa.array([1e300] * 8)})}, periods=1)
        with pytest.raises(UserError, match="row 0: price: not finite; 8 of 8 rows"):
            source.block(0, 0)


def test_a_default_stands_for_a_missing_number_in_the_model():
    import tensorflow as tf

    from steadyrank.models import MultitaskRanker, Statistics

    features = (Feature("age", "numerical", default=30.0), Feature("price", "numerical"))
    statistics = Statistics(
        mean=dict.fromkeys(("age", "price"), np.array([20.0])),
        deviation=dict.fromkeys(("age", "price"), np.array([2.0])),
    )
    ranker = MultitaskRanker(Schema(features, (Task("click", "binary"),)), statistics, shared_units=())
    given = {"price": tf.constant([1.0, 1.0]), "age": tf.constant([30.0, np.nan])}
    one, other = ranker(given)["click"].numpy()
    assert one == other


def test_the_ranker_takes_what_is_beyond_a_bound_for_the_bound():
    import tensorflow as tf
    import tf_keras

    from steadyrank.models import MultitaskRanker, Statistics

    tf_keras.utils.set_random_seed(0)
    features = (Feature("age", "numerical", default=500.0, minimum=0, maximum=120),)
    statistics = Statistics(mean={"age": np.array([20.0])}, deviation={"age": np.array([100.0])})
    ranker = MultitaskRanker(Schema(features, (Task("click", "binary"),)), statistics, shared_units=())
    below, least, above, most, missing = ranker({"age": tf.constant([-1e9, 0.0, np.inf, 120.0, np.nan])})[
        "click"
    ].numpy()
    assert below == least
    assert above == most == missing
    assert least != most


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Feature("a", "categorical", hash_buckets=2, minimum=0), "stand with numerical features only"),
        (lambda: Feature("a", "numerical", minimum=2, maximum=1), "minimum must not be above maximum"),
        (lambda: Feature("a", "numerical", maximum=float("inf")), "a bound must be a finite number"),
        (lambda: Task("t", "binary", maximum=1), "stand with regression tasks only"),
        (lambda: Task("t", "regression", minimum=float("nan")), "a bound must be a finite number"),
    ],
    ids=["categorical", "order", "infinite", "binary", "nan"],
)
def test_bounds_that_make_no_sense_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_label_can_be_what_is_above_a_number():
    tasks = (
        Task("stars", "regression"),
        Task("like", "binary", "stars", above=3),
        Task("hit", "binary", "stars", mask="on", above=4),
    )
    given = pa.table({"a": [1.0] * 4, "stars": [3, 4, None, 5], "on": [True, False, True, True]})
    columns, found = convert_table(given, Schema((Feature("a", "numerical"),), tasks), "here")
    assert not found
    np.testing.assert_array_equal(columns["stars"], [3, 4, np.nan, 5])
    np.testing.assert_array_equal(columns["like.label"], [0, 1, np.nan, 1])
    np.testing.assert_array_equal(columns["hit.label"], [0, np.nan, np.nan, 1])
    for wrong in (("t", "regression", "", 1.0, "", 3.0), ("t", "binary", "", 1.0, "", float("nan"))):
        with pytest.raises(ValueError, match="above must be a finite number and stands with binary tasks only"):
            Task(*wrong)


def test_names_that_clash_are_refused():
    features = (Feature("a", "numerical", column="click"),)
    with pytest.raises(ValueError, match="both a feature and a label"):
        Schema(features, (Task("click", "binary"),))
    with pytest.raises(ValueError, match="both a feature and a label"):
        Schema((Feature("click", "numerical", column="a"),), (Task("click", "binary"),))
    with pytest.raises(ValueError, match="default must be a finite number"):
        Feature("a", "categorical", hash_buckets=2, default=1.0)
    assert dataclasses.asdict(Task("t", "binary", mask="m"))["mask"] == "m"

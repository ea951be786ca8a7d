"""A log of Parquet files as a source: its batches and its faulty rows."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches, make_training_batches
from steadyrank.pipeline.data.files.log import FileLog
from tests.pipeline.data.files.parquet_log import list_user_ids, make_table


class TestBatches:
    def test_shuffling_mixes_blocks_and_repeats_no_row(self, log):
        source = log({"a.parquet": make_table(95)}, periods=1)

        def rows(**options):
            return list_user_ids(make_training_batches(source, 0, batch_size=8, seed=1, **options))

        shuffled = rows(shuffle_rows=40)
        assert sorted(shuffled) == list(range(95))
        # The first window holds rows of four random blocks, not of the first four.
        assert len({row // 10 for row in shuffled[:40]}) == 4
        assert {row // 10 for row in shuffled[:40]} != {0, 1, 2, 3}
        assert shuffled == rows(shuffle_rows=40)
        assert shuffled != rows(shuffle_rows=40, pass_index=1)
        assert rows(shuffle_rows=0)[:10] != list(range(10))
        assert sorted(rows(shuffle_rows=0)[:10]) == list(range(10))

    @pytest.mark.parametrize("shuffle_rows", [0, 25, 1000])
    def test_the_columns_of_a_row_stay_together(self, log, shuffle_rows):
        """This includes strings: each block has its own dictionary, and later blocks have longer strings."""
        names = pa.array([f"country {2 ** (i // 10)}" for i in range(61)])
        source = log({"a.parquet": make_table(61, country=names)}, periods=1)
        batches = list(make_training_batches(source, 0, batch_size=8, seed=3, shuffle_rows=shuffle_rows))
        for batch in batches:
            users = batch["user"].numpy()
            assert [name.decode() for name in batch["country"].numpy()] == names.take(pa.array(users)).to_pylist()
            np.testing.assert_array_equal(batch["price"].numpy(), users * np.float32(0.5))
            np.testing.assert_array_equal(batch["scores"].numpy(), np.stack([users, -users], axis=1))
        assert len(batches) == 8

    @pytest.mark.parametrize("shuffle_rows", [0, 25, 1000])
    def test_reading_can_start_at_any_batch(self, log, shuffle_rows):
        source = log({"a.parquet": make_table(61), "b.parquet": make_table(30, 61)}, periods=1)

        def rows(start):
            return list_user_ids(
                make_training_batches(source, 0, batch_size=8, seed=3, shuffle_rows=shuffle_rows, start=start)
            )

        whole = rows(0)
        for start in (1, 3, 7, 11):
            assert rows(start) == whole[8 * start :]


class TestFaultyRows:
    def faulty(self) -> pa.Table:
        prices = [i * 0.5 for i in range(100)]
        prices[13], prices[40] = float("nan"), float("inf")
        clicks = [float(i % 2) for i in range(100)]
        clicks[41], clicks[42] = 2.0, None
        scores = [[i, -i] for i in range(100)]
        scores[77] = [1, 2, 3]
        return make_table(
            100,
            **{
                "the.price": pa.array(prices),
                "click": pa.array(clicks),
                "scores": pa.array(scores, pa.list_(pa.float64())),
            },
        )

    def test_fail_names_the_file_the_row_the_reason_and_the_remedy(self, log):
        source = log({"a.parquet": self.faulty()}, periods=1)
        source.block(0, 0)
        with pytest.raises(UserError, match=r"a.parquet, row 13: price: not finite; 1 of 10 rows .*on_invalid=skip"):
            source.block(0, 1)

    def test_skip_keeps_the_other_rows_in_place_and_counts_the_faulty_ones(self, log, tmp_path):
        source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.1)
        source.open_quarantine(tmp_path / "quarantine.jsonl")
        for _ in range(2):  # A row counts once, however often it is read.
            rows = list_user_ids(make_evaluation_batches(source, 0, batch_size=8))
        # Row 42 has no label. That is not a fault.
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

    def test_rows_in_the_quarantine_are_not_written_again(self, log, tmp_path):
        path = tmp_path / "quarantine.jsonl"
        for _ in range(2):
            source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.1)
            source.open_quarantine(path)
            for index in range(10):
                source.block(0, index)
        assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [13, 40, 41, 77]
        # As if the process was killed while it wrote the last line.
        path.write_bytes(path.read_bytes()[:-20])
        source.open_quarantine(path)
        source._recorded_blocks.clear()
        source.block(0, 7)
        assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [13, 40, 41, 77]

    def test_rows_in_the_quarantine_are_known_after_the_log_moved(self, log, tmp_path):
        path = tmp_path / "quarantine.jsonl"
        source = log(
            {"day=1/a.parquet": self.faulty(), "day=2/a.parquet": self.faulty()},
            on_invalid="skip",
            max_invalid_share=0.1,
        )
        source.open_quarantine(path)
        source.block(0, 1)
        (tmp_path / "log").rename(tmp_path / "moved")
        source = FileLog(dataclasses.replace(source._settings, path=str(tmp_path / "moved")))
        source.open_quarantine(path)
        for day in (0, 1):
            source.block(day, 1)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(Path(row["file"]).parent.name, row["row"]) for row in rows] == [("day=1", 13), ("day=2", 13)]
        assert source.row_faults.skipped_rows == 2

    def test_too_many_faulty_rows_are_refused(self, log):
        source = log({"a.parquet": self.faulty()}, periods=1, on_invalid="skip", max_invalid_share=0.02)
        with pytest.raises(
            UserError, match=r"more than 2.00% of the rows are faulty \(3 of 100 so far; the latest is .*row 40"
        ):
            [source.block(0, index) for index in range(10)]

    def test_clamp_sets_numbers_to_their_bounds_and_skips_rows_with_other_faults(self, tmp_path):
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
        # Rows 2 to 4 have an infinite number without a bound on that side, or no number.
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
        # Another process of the run counts the recorded rows, and no row twice.
        again = opened("clamp")
        again.open_quarantine(tmp_path / "quarantine.jsonl")
        again.block(0, 0)
        assert again.row_faults == source.row_faults
        assert again.row_faults.skipped_rows == 3

        skipping = opened("skip")
        assert np.isnan(skipping.block(0, 0)["click"]).tolist() == [True] * 5 + [False]
        with pytest.raises(UserError, match=r"a.parquet, row 0: scores: out of range; 5 of 6 rows"):
            opened("fail").block(0, 0)

    def test_a_number_beyond_the_range_of_float32_is_not_finite(self, log):
        source = log({"a.parquet": make_table(8, **{"the.price": pa.array([1e300] * 8)})}, periods=1)
        with pytest.raises(UserError, match="row 0: price: not finite; 8 of 8 rows"):
            source.block(0, 0)


class TestTypesOfFiles:
    """The types of all files are checked when the log is opened, before any row is read."""

    @pytest.mark.parametrize(
        ("replaced", "message"),
        [
            ({"user": pa.array(["a"] * 8)}, "column 'user' should be whole numbers, but the file has string"),
            (
                {"answered": pa.array([datetime.date(2026, 11, 1)] * 8)},
                "column 'answered', the mask of task 'minutes', should",
            ),
            ({"click": pa.array([[1]] * 8)}, "column 'click' should be a label"),
        ],
    )
    def test_a_file_with_another_type_is_named_with_its_day(self, log, replaced, message):
        with pytest.raises(UserError, match=r"log/day=2/b\.parquet: ") as raised:
            log({"day=1/a.parquet": make_table(8), "day=2/b.parquet": make_table(8, **replaced)})
        assert message in str(raised.value)

    def test_a_column_that_one_file_lacks_is_named(self, log):
        with pytest.raises(UserError, match=r"log/day=2/b\.parquet: column 'the\.price', feature 'price', is missing"):
            log({"day=1/a.parquet": make_table(8), "day=2/b.parquet": make_table(8).drop_columns(["the.price"])})

    def test_a_column_of_nulls_in_one_file_fits_every_type(self, log):
        source = log(
            {"day=1/a.parquet": make_table(8), "day=2/b.parquet": make_table(8, country=pa.nulls(8), age=pa.nulls(8))}
        )
        assert source.block(1, 0)["country"].tolist() == [b""] * 8
        assert source.column_types(1) == {
            "the.price": "float",
            "user": "integer",
            "history": "list of integer",
            "scores": "list of float",
            "click": "boolean",
            "minutes": "float",
            "answered": "boolean",
        }


@pytest.mark.parametrize(("label", "value"), [([-1, 1], "-1"), ([0, 2], "2"), ([1, 3], "3")])
def test_a_binary_label_of_other_numbers_is_refused_with_the_setting_to_read_it(log, label, value):
    source = log({"a.parquet": make_table(2, click=pa.array(label))}, periods=2)
    with pytest.raises(UserError) as raised:
        [source.block(day, 0) for day in range(len(source.days))]
    assert f"click: out of range ({value})" in str(raised.value)
    assert "For other numbers, set label_threshold in the schema: the label is 1 above it. Fix them" in str(
        raised.value
    )
    source = log({"a.parquet": make_table(2, **{"the.price": pa.array([0.0, np.nan])})}, periods=2)
    with pytest.raises(UserError, match=r"price: not finite; 1 of 1 rows in this block are faulty\. Fix them"):
        [source.block(day, 0) for day in range(len(source.days))]

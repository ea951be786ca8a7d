from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data import Source
from steadyrank.pipeline.data.batching import count_steps, make_evaluation_batches, make_training_batches


class Numbered(Source):
    """A log whose rows are numbered, so that each row of a batch shows where it came from."""

    def __init__(self, *days: list[int]):
        self.schema = Schema(
            (
                Feature("row", "numerical", normalization="none"),
                Feature("name", "categorical", dtype="string", hash_buckets=9),
                Feature("bag", "bag", width=2, num_ids=9),
            ),
            (Task("click", "binary"),),
        )
        self._blocks = days

    @property
    def days(self) -> list[str]:
        return [f"day_{i}" for i in range(len(self._blocks))]

    def block_rows(self, day: int) -> list[int]:
        return self._blocks[day]

    def block(self, day: int, index: int) -> dict[str, np.ndarray]:
        rows = np.arange(self._blocks[day][index]) + sum(self._blocks[day][:index])
        return {
            "row": rows.astype(np.float32),
            "name": rows.astype(bytes),
            "bag": np.stack([rows, -np.ones_like(rows)], axis=1),
            "click": (rows % 2).astype(np.float32),
        }


def read_row_numbers(batch) -> list[int]:
    labeled = ~np.isnan(batch["click"].numpy())
    return batch["row"].numpy()[labeled].astype(int).tolist()


blocks = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(blocks=blocks, batch_size=st.integers(1, 40), shuffle=st.booleans())
def test_every_row_comes_once_and_all_batches_have_the_same_shape(blocks, batch_size, shuffle):
    batches = list(make_training_batches(Numbered(blocks), 0, batch_size=batch_size, seed=3, shuffle=shuffle))
    assert len(batches) == count_steps(sum(blocks), batch_size)
    assert {batch["bag"].shape for batch in batches} == {(batch_size, 2)}
    row_numbers = [row for batch in batches for row in read_row_numbers(batch)]
    assert sorted(row_numbers) == list(range(sum(blocks)))
    if not shuffle:
        assert row_numbers == sorted(row_numbers)


def test_later_reads_do_not_overwrite_batches_that_are_still_held():
    held = list(make_training_batches(Numbered([64] * 40), 0, batch_size=64, seed=3, shuffle_rows=64))
    assert sorted(row for batch in held for row in read_row_numbers(batch)) == list(range(64 * 40))
    for batch in held:
        np.testing.assert_array_equal(batch["bag"].numpy()[:, 0], batch["row"].numpy())


@settings(deadline=None, max_examples=25)
@given(blocks=blocks, batch_size=st.integers(1, 40), data=st.data())
def test_reading_can_start_at_any_batch(blocks, batch_size, data):
    start = data.draw(st.integers(0, count_steps(sum(blocks), batch_size)))
    source = Numbered(blocks)
    whole = [read_row_numbers(b) for b in make_training_batches(source, 0, batch_size=batch_size, seed=3)]
    resumed = [
        read_row_numbers(b) for b in make_training_batches(source, 0, batch_size=batch_size, seed=3, start=start)
    ]
    assert resumed == whole[start:]


def test_shuffling_keeps_the_columns_of_a_row_together():
    for batch in make_training_batches(Numbered([50, 50]), 0, batch_size=25, seed=1):
        rows = batch["row"].numpy().astype(int)
        assert [int(name) for name in batch["name"].numpy()] == rows.tolist()
        assert batch["bag"].numpy()[:, 0].tolist() == rows.tolist()
        assert batch["click"].numpy().tolist() == (rows % 2).tolist()


def test_the_order_depends_only_on_seed_day_and_pass():
    source = Numbered([64, 64], [64, 64])

    def order(day=0, **arguments):
        arguments = {"batch_size": 64, "seed": 1} | arguments
        return [row for batch in make_training_batches(source, day, **arguments) for row in read_row_numbers(batch)]

    assert order() == order() == order(batch_size=7)
    others = [order(seed=2), order(day=1), order(pass_index=1)]
    assert all(order() != other for other in others)
    # Each block is permuted differently.
    assert [row - 64 for row in order()[64:]] != order()[:64]


@pytest.mark.parametrize(("rows", "expected"), [(0, 45), (1, 1), (20, 20), (21, 21), (100, 45)])
def test_evaluation_reads_the_first_rows_once_and_in_order(rows, expected):
    batches = list(make_evaluation_batches(Numbered([20, 25]), 0, batch_size=8, rows=rows))
    assert [row for batch in batches for row in read_row_numbers(batch)] == list(range(expected))
    assert {batch["row"].shape for batch in batches} == {(8,)}


def test_an_error_in_a_source_reaches_the_reader():
    class Broken(Numbered):
        def block(self, day, index):
            raise ValueError("shard 7 is truncated")

    with pytest.raises(Exception, match="shard 7 is truncated"):
        list(make_training_batches(Broken([8]), 0, batch_size=8, seed=0))


def test_the_replicas_parts_make_up_the_batches():
    source = Numbered([50, 41])
    whole = [read_row_numbers(batch) for batch in make_training_batches(source, 0, batch_size=12, seed=1)]
    parts = [read_row_numbers(part) for part in make_training_batches(source, 0, batch_size=12, seed=1, replicas=3)]
    assert [parts[i] + parts[i + 1] + parts[i + 2] for i in range(0, len(parts), 3)] == whole


@settings(deadline=None, max_examples=25)
@given(
    blocks=blocks,
    workers=st.integers(1, 4),
    part=st.integers(1, 8),
    shuffle_rows=st.sampled_from([0, 20]),
    data=st.data(),
)
def test_workers_read_each_row_of_a_day_exactly_once(blocks, workers, part, shuffle_rows, data):
    # At least one row for each worker.
    blocks[0] += 3
    batch_size = part * workers
    start = data.draw(st.integers(0, count_steps(sum(blocks), batch_size)))
    order = {"batch_size": batch_size, "seed": 3, "shuffle_rows": shuffle_rows, "replicas": workers, "workers": workers}

    def read(worker, **options):
        return list(make_training_batches(Numbered(blocks), 0, worker=worker, **order, **options))

    read_by = [read(worker) for worker in range(workers)]
    # All workers need the same number of steps, because a step waits for every worker.
    assert {len(batches) for batches in read_by} == {count_steps(sum(blocks), batch_size)}
    assert {batch["bag"].shape for batches in read_by for batch in batches} == {(part, 2)}
    rows = [[row for batch in batches for row in read_row_numbers(batch)] for batches in read_by]
    assert sorted(row for worker_rows in rows for row in worker_rows) == list(range(sum(blocks)))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    resumed = [[read_row_numbers(batch) for batch in read(worker, start=start)] for worker in range(workers)]
    assert resumed == [[read_row_numbers(batch) for batch in batches][start:] for batches in read_by]


def test_workers_share_an_evaluation():
    read = [
        row
        for worker in range(3)
        for batch in make_evaluation_batches(
            Numbered([20, 25]), 0, batch_size=6, rows=31, replicas=3, worker=worker, workers=3
        )
        for row in read_row_numbers(batch)
    ]
    assert read == list(range(31))


def test_a_day_with_fewer_rows_than_workers_is_refused():
    with pytest.raises(UserError, match="day_0 has 2 rows, too few for 3 workers; each needs at least one row"):
        make_training_batches(Numbered([2]), 0, batch_size=3, seed=0, replicas=3, worker=0, workers=3)

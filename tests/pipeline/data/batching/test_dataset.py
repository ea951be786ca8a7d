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
    """A log whose rows are numbered through: what comes out tells where it came from."""

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


def rows_of(batch) -> list[int]:
    there = ~np.isnan(batch["click"].numpy())
    return batch["row"].numpy()[there].astype(int).tolist()


blocks = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(blocks=blocks, batch_size=st.integers(1, 40), shuffle=st.booleans())
def test_every_row_comes_once_in_batches_of_one_shape(blocks, batch_size, shuffle):
    batches = list(make_training_batches(Numbered(blocks), 0, batch_size=batch_size, seed=3, shuffle=shuffle))
    assert len(batches) == count_steps(sum(blocks), batch_size)
    assert {batch["bag"].shape for batch in batches} == {(batch_size, 2)}
    seen = [row for batch in batches for row in rows_of(batch)]
    assert sorted(seen) == list(range(sum(blocks)))
    if not shuffle:
        assert seen == sorted(seen)


def test_batches_that_are_kept_stay_as_they_were_while_others_are_read():
    kept = list(make_training_batches(Numbered([64] * 40), 0, batch_size=64, seed=3, shuffle_rows=64))
    assert sorted(row for batch in kept for row in rows_of(batch)) == list(range(64 * 40))
    for batch in kept:
        np.testing.assert_array_equal(batch["bag"].numpy()[:, 0], batch["row"].numpy())


@settings(deadline=None, max_examples=25)
@given(blocks=blocks, batch_size=st.integers(1, 40), data=st.data())
def test_from_any_position_on_the_batches_are_those_of_the_whole(blocks, batch_size, data):
    start = data.draw(st.integers(0, count_steps(sum(blocks), batch_size)))
    source = Numbered(blocks)
    whole = [rows_of(b) for b in make_training_batches(source, 0, batch_size=batch_size, seed=3)]
    rest = [rows_of(b) for b in make_training_batches(source, 0, batch_size=batch_size, seed=3, start=start)]
    assert rest == whole[start:]


def test_the_columns_of_a_row_stay_together():
    for batch in make_training_batches(Numbered([50, 50]), 0, batch_size=25, seed=1):
        rows = batch["row"].numpy().astype(int)
        assert [int(name) for name in batch["name"].numpy()] == rows.tolist()
        assert batch["bag"].numpy()[:, 0].tolist() == rows.tolist()
        assert batch["click"].numpy().tolist() == (rows % 2).tolist()


def test_the_order_depends_on_seed_day_and_pass_and_on_nothing_else():
    source = Numbered([64, 64], [64, 64])

    def order(day=0, **arguments):
        arguments = {"batch_size": 64, "seed": 1} | arguments
        return [row for batch in make_training_batches(source, day, **arguments) for row in rows_of(batch)]

    assert order() == order() == order(batch_size=7)
    others = [order(seed=2), order(day=1), order(pass_index=1)]
    assert all(order() != other for other in others)
    # Each block has a permutation of its own.
    assert [row - 64 for row in order()[64:]] != order()[:64]


@pytest.mark.parametrize(("rows", "expected"), [(0, 45), (1, 1), (20, 20), (21, 21), (100, 45)])
def test_evaluation_takes_the_first_rows_once_and_in_order(rows, expected):
    batches = list(make_evaluation_batches(Numbered([20, 25]), 0, batch_size=8, rows=rows))
    assert [row for batch in batches for row in rows_of(batch)] == list(range(expected))
    assert {batch["row"].shape for batch in batches} == {(8,)}


def test_an_error_in_a_source_reaches_the_reader():
    class Broken(Numbered):
        def block(self, day, index):
            raise ValueError("shard 7 is truncated")

    with pytest.raises(Exception, match="shard 7 is truncated"):
        list(make_training_batches(Broken([8]), 0, batch_size=8, seed=0))


def test_the_parts_for_the_replicas_make_up_the_batches():
    source = Numbered([50, 41])
    whole = [rows_of(batch) for batch in make_training_batches(source, 0, batch_size=12, seed=1)]
    parts = [rows_of(part) for part in make_training_batches(source, 0, batch_size=12, seed=1, replicas=3)]
    assert [parts[i] + parts[i + 1] + parts[i + 2] for i in range(0, len(parts), 3)] == whole


@settings(deadline=None, max_examples=25)
@given(
    blocks=blocks,
    workers=st.integers(1, 4),
    part=st.integers(1, 8),
    shuffle_rows=st.sampled_from([0, 20]),
    data=st.data(),
)
def test_workers_share_a_day_without_overlap_or_loss(blocks, workers, part, shuffle_rows, data):
    # The first block has a row for each worker.
    blocks[0] += 3
    batch_size = part * workers
    start = data.draw(st.integers(0, count_steps(sum(blocks), batch_size)))
    order = {"batch_size": batch_size, "seed": 3, "shuffle_rows": shuffle_rows, "replicas": workers, "workers": workers}

    def read(worker, **given):
        return list(make_training_batches(Numbered(blocks), 0, worker=worker, **order, **given))

    read_by = [read(worker) for worker in range(workers)]
    # As many steps for each: none may wait for another that has ended.
    assert {len(batches) for batches in read_by} == {count_steps(sum(blocks), batch_size)}
    assert {batch["bag"].shape for batches in read_by for batch in batches} == {(part, 2)}
    rows = [[row for batch in batches for row in rows_of(batch)] for batches in read_by]
    assert sorted(row for some in rows for row in some) == list(range(sum(blocks)))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    rest = [[rows_of(batch) for batch in read(worker, start=start)] for worker in range(workers)]
    assert rest == [[rows_of(batch) for batch in batches][start:] for batches in read_by]


def test_evaluation_is_shared_by_workers_too():
    read = [
        row
        for worker in range(3)
        for batch in make_evaluation_batches(
            Numbered([20, 25]), 0, batch_size=6, rows=31, replicas=3, worker=worker, workers=3
        )
        for row in rows_of(batch)
    ]
    assert read == list(range(31))


def test_a_day_with_fewer_rows_than_workers_is_refused():
    with pytest.raises(UserError, match="day_0 has 2 rows, too few for 3 workers"):
        make_training_batches(Numbered([2]), 0, batch_size=3, seed=0, replicas=3, worker=0, workers=3)

"""Shuffle windows: which blocks they hold, which of them a resumed run needs, and how the last batch is padded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data import DictionaryColumn, RowFaults, Source
from steadyrank.pipeline.data.batching import BatchOrder, ShuffleWindows, count_steps


class Chunked(Source):
    """One day of blocks of ten rows; every two blocks are stored in one chunk, and each block has one faulty row."""

    schema = Schema(
        (Feature("row", "numerical"), Feature("word", "categorical", dtype="string", hash_buckets=9)),
        (Task("click", "binary"),),
    )
    days = ("day",)
    encodes_strings = True

    def __init__(self, blocks: int):
        self._blocks = blocks
        self.reads: list[int] = []

    def block_rows(self, day):
        return [10] * self._blocks

    def storage_chunks(self, day):
        return [block // 2 for block in range(self._blocks)]

    def block(self, day, index):
        raise AssertionError("windows read encoded columns")

    def read_block(self, day, index):
        self.reads.append(index)
        rows = np.arange(10 * index, 10 * index + 10)
        word = DictionaryColumn(np.array([b"even", b"odd", b""]), (rows % 2).astype(np.int32))
        columns = {"row": rows.astype(np.float32), "word": word, "click": np.zeros(10, np.float32)}
        return columns, RowFaults(day, index, 1, [])


def load_rows(windows: ShuffleWindows) -> list[list[int]]:
    return [windows.load(window)[0][0].astype(int).tolist() for window in windows.positions]


@pytest.mark.parametrize(("rows", "steps"), [(0, 0), (1, 1), (8, 1), (9, 2)])
def test_steps_are_rounded_up(rows, steps):
    assert count_steps(rows, batch_size=8) == steps


def test_a_window_holds_at_least_shuffle_rows_and_keeps_chunks_together():
    source = Chunked(8)
    windows = ShuffleWindows(source, BatchOrder(0, 8, seed=2, shuffle=True, shuffle_rows=25))
    rows = load_rows(windows)
    assert [len(window) for window in rows] == [30, 30, 20]
    assert sorted(itertools.chain.from_iterable(rows)) == list(range(80))
    # Chunks are permuted, and the two blocks of each chunk follow one another.
    assert source.reads != sorted(source.reads)
    assert all(second == first + 1 for first, second in zip(source.reads[::2], source.reads[1::2], strict=True))


def test_without_shuffle_rows_each_block_is_a_window():
    windows = ShuffleWindows(Chunked(3), BatchOrder(0, 10, seed=1, shuffle=True))
    rows = load_rows(windows)
    assert [sorted(window) for window in rows] == [list(range(10 * i, 10 * i + 10)) for i in range(3)]
    assert rows[0] != sorted(rows[0])


def test_a_resumed_order_needs_only_the_remaining_windows_and_rows():
    order = {"day": 0, "batch_size": 8, "seed": 1, "shuffle": True, "shuffle_rows": 20}
    whole = list(itertools.chain.from_iterable(load_rows(ShuffleWindows(Chunked(8), BatchOrder(**order)))))
    resumed = ShuffleWindows(Chunked(8), BatchOrder(**order, start=4))
    assert resumed.positions == range(1, 4)
    assert list(itertools.chain.from_iterable(load_rows(resumed))) == whole[32:]
    assert len(ShuffleWindows(Chunked(8), BatchOrder(**order, start=10)).positions) == 0


def test_the_last_batch_is_padded_with_rows_without_labels():
    windows = ShuffleWindows(Chunked(3), BatchOrder(0, 8))
    *_, last = windows.positions
    row, _, indices, click = windows.load(last)[0]
    assert len(row) == len(indices) == len(click) == 12
    assert np.isnan(click).tolist() == [False] * 10 + [True] * 2
    assert set(row[10:]) <= set(row[:10])


def test_arrays_have_the_stated_dtypes_and_faults_come_with_them():
    windows = ShuffleWindows(Chunked(2), BatchOrder(0, 5))
    assert windows.dtypes == [tf.float32, tf.string, tf.int32, tf.float32]
    arrays, faults = windows.load(1)
    assert [array.dtype.kind for array in arrays] == ["f", "S", "i", "f"]
    assert faults == [RowFaults(0, 1, 1, [])]

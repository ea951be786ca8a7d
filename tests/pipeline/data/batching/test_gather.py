from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.data.batching import gather
from steadyrank.pipeline.data.batching.gather import gather_rows
from steadyrank.pipeline.data.columns import DictionaryColumn, decode_columns


@pytest.fixture(autouse=True)
def empty_pool():
    gc.collect()
    gather._pool.clear()


def make_blocks(sizes: list[int], longest: int = 3) -> list[dict[str, np.ndarray | DictionaryColumn]]:
    """Makes blocks with numbered rows and columns of every kind. Each block has its own distinct strings."""
    blocks, first = [], 0
    for size in sizes:
        rows = np.arange(first, first + size)
        blocks.append(
            {
                "float": rows.astype(np.float32),
                "id": rows,
                "list": np.stack([rows, -rows, rows * 7], axis=1),
                "plain": np.char.zfill(rows.astype(str), longest + len(blocks)).astype(bytes),
                "encoded": DictionaryColumn(np.array([*rows.astype(str), ""], bytes), np.arange(size, dtype=np.int32)),
            }
        )
        first += size
    return blocks


def assert_rows(columns: dict[str, np.ndarray | DictionaryColumn], rows: np.ndarray) -> None:
    plain = decode_columns(columns)
    np.testing.assert_array_equal(plain["float"], rows.astype(np.float32))
    np.testing.assert_array_equal(plain["id"], rows)
    np.testing.assert_array_equal(plain["list"], np.stack([rows, -rows, rows * 7], axis=1))
    assert [int(value) for value in plain["plain"]] == rows.tolist()
    assert plain["encoded"].tolist() == [str(row).encode() for row in rows.tolist()]


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5), data=st.data())
def test_the_chosen_rows_come_in_the_given_order(sizes, data):
    total = sum(sizes)
    chosen = np.array(data.draw(st.permutations(range(total))))[: data.draw(st.integers(1, total))]
    assert_rows(gather_rows(make_blocks(sizes), total, chosen), chosen)


def test_a_block_is_freed_before_the_next_one_is_read():
    alive: list[int] = []

    class Block(dict):
        def __del__(self):
            alive.remove(self["id"][0])

    def read():
        for block in make_blocks([5, 5, 5]):
            assert not alive
            alive.append(block["id"][0])
            yield Block(block)

    gather_rows(read(), 15, np.arange(15))


def test_columns_are_aligned_as_tensorflow_requires():
    for rows in (1, 7, 64, 101):
        columns = gather_rows(make_blocks([rows]), rows, np.arange(rows))
        assert [columns[name].ctypes.data % 64 for name in ("float", "id", "list")] == [0, 0, 0]


def test_memory_is_reused_once_all_arrays_in_it_are_freed():
    held = gather_rows(make_blocks([50]), 50, np.arange(50))["list"]
    address = held.ctypes.data
    other = gather_rows(make_blocks([50]), 50, np.arange(50)[::-1])
    assert other["list"].ctypes.data != address
    np.testing.assert_array_equal(held[:, 0], np.arange(50))
    part = held[10:20]
    del held
    assert_rows(gather_rows(make_blocks([50]), 50, np.arange(50)), np.arange(50))
    np.testing.assert_array_equal(part[:, 0], np.arange(10, 20))
    del other, part
    gc.collect()
    before = {piece.ctypes.data for piece in gather._pool}
    assert len(before) >= 2
    again = gather_rows(make_blocks([50]), 50, np.arange(50))
    assert {piece.ctypes.data for piece in gather._pool} < before
    assert_rows(again, np.arange(50))


def test_pieces_that_are_too_small_leave_the_pool():
    for size in (10, 10_000):
        gather_rows(make_blocks([size]), size, np.arange(size))
        gc.collect()
    [piece] = gather._pool
    assert len(piece) > 10_000 * 8


def test_the_pool_keeps_a_limited_number_of_pieces():
    held = [gather_rows(make_blocks([10]), 10, np.arange(10)) for _ in range(20)]
    held.clear()
    gc.collect()
    assert len(gather._pool) == gather._pool.maxlen

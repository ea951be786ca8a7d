"""Gathers rows of several blocks into new columns, in any order."""

from __future__ import annotations

import collections
import math
import weakref
from collections.abc import Iterable, Mapping

import numpy as np

from ..columns import DictionaryColumn, EncodedColumns, count_rows

# TensorFlow takes over memory with this alignment without copying it.
_ALIGNMENT = 64


def gather_rows(blocks: Iterable[EncodedColumns], rows: int, chosen: np.ndarray) -> EncodedColumns:
    """Returns the rows ``chosen``, in this order.

    Args:
      blocks: The blocks. They are read one at a time, and each is freed before the next is read.
      rows: Number of rows of all blocks together.
      chosen: Row numbers, counted over all blocks, each at most once.
    """
    targets = np.full(rows, -1)
    targets[chosen] = np.arange(len(chosen))
    columns: dict[str, np.ndarray] = {}
    values: dict[str, list[np.ndarray]] = {}
    first = 0
    for block in blocks:
        count = count_rows(block)
        target = targets[first : first + count]
        mask = slice(None) if len(chosen) == rows else target >= 0
        arrays = {name: _shift_indices(name, column, values) for name, column in block.items()}
        columns = columns or _allocate_columns(len(chosen), arrays)
        for name, column in arrays.items():
            if column.dtype.itemsize > columns[name].dtype.itemsize:
                # These strings are longer than all strings before them.
                columns[name] = columns[name].astype(column.dtype)
            source = _as_single_values(column.astype(columns[name].dtype, copy=False))
            _as_single_values(columns[name])[target[mask]] = source[mask]
        first += count
        # Frees the block before the next one is read.
        del block, arrays, column, source
    return {
        name: DictionaryColumn(np.concatenate(values[name]), column) if name in values else column
        for name, column in columns.items()
    }


def _shift_indices(name: str, column: np.ndarray | DictionaryColumn, values: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Returns indices into the concatenated values of all blocks so far; other columns are returned unchanged.

    The column's own values are appended to ``values[name]``.
    """
    if not isinstance(column, DictionaryColumn):
        return column
    earlier = values.setdefault(name, [])
    shift = sum(map(len, earlier))
    earlier.append(column.values)
    return column.indices + np.int32(shift) if shift else column.indices


def _allocate_columns(rows: int, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns uninitialized columns of ``rows`` rows, all in one allocation."""
    shapes = {name: (rows, *column.shape[1:]) for name, column in like.items()}
    sizes = {name: math.prod(shape) * like[name].dtype.itemsize for name, shape in shapes.items()}
    memory = _borrow_memory(sum(sizes.values()) + _ALIGNMENT * len(sizes))
    columns, end = {}, 0
    for name, size in sizes.items():
        first = end + -(memory.ctypes.data + end) % _ALIGNMENT
        end = first + size
        column = memory[first:end].view(like[name].dtype).reshape(shapes[name])
        columns[name] = np.asarray(column)
    return columns


class _BorrowedMemory(np.ndarray):
    """Memory that returns to the pool when the last array that uses it is freed.

    A view of this array keeps the array itself as its base, because it is an instance of a subclass. A view of a plain
    array keeps only that array's base.
    """


# Getting new pages from the system costs more than writing to them, so memory is reused. The pool keeps a few
# allocations.
_pool: collections.deque[np.ndarray] = collections.deque(maxlen=4)


def _borrow_memory(size: int) -> np.ndarray:
    """Returns at least ``size`` bytes. Frees allocations of the pool that are too small."""
    memory = np.empty(0, np.uint8)
    while len(memory) < size:
        try:
            memory = _pool.pop()
        except IndexError:
            # One allocation, because the system backs large allocations with large pages.
            memory = np.empty(size, np.uint8)
    borrowed = memory.view(_BorrowedMemory)
    weakref.finalize(borrowed, _pool.append, memory).atexit = False
    return borrowed


def _as_single_values(column: np.ndarray) -> np.ndarray:
    """Returns a view in which each row is one value, which NumPy moves as a whole."""
    if column.ndim == 1 or not column.size:
        return column
    return np.ascontiguousarray(column).view(np.dtype((np.void, column[0].nbytes))).reshape(-1)

"""Rows of several blocks put in another order, column by column."""

from __future__ import annotations

import collections
import math
import weakref
from collections.abc import Iterable, Mapping

import numpy as np

from ..source import Coded, CodedColumns, rows_of

# Memory that lies so is taken by TensorFlow as it is; it would copy other.
_ALIGNMENT = 64


def mixed(blocks: Iterable[CodedColumns], rows: int, picked: np.ndarray) -> CodedColumns:
    """The rows ``picked`` of all blocks, in this order.

    Args:
      blocks: One after the other, so that each can be let go of.
      rows: How many they have together.
      picked: Positions among these, each at most once.
    """
    places = np.full(rows, -1)
    places[picked] = np.arange(len(picked))
    columns: dict[str, np.ndarray] = {}
    values: dict[str, list[np.ndarray]] = {}
    first = 0
    for block in blocks:
        there = rows_of(block)
        to = places[first : first + there]
        kept = slice(None) if len(picked) == rows else to >= 0
        plain = {name: _places(name, column, values) for name, column in block.items()}
        columns = columns or _rooms(len(picked), plain)
        for name, column in plain.items():
            if column.dtype.itemsize > columns[name].dtype.itemsize:
                # Strings that are longer than those before.
                columns[name] = columns[name].astype(column.dtype)
            _whole_rows(columns[name])[to[kept]] = _whole_rows(column.astype(columns[name].dtype, copy=False))[kept]
        first += there
        # Before the next one is read.
        del block, plain, column
    return {
        name: Coded(np.concatenate(values[name]), column) if name in values else column
        for name, column in columns.items()
    }


def _places(name: str, column: np.ndarray | Coded, values: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Of strings their places among those of all blocks so far, which are kept in ``values``; other columns as they are."""
    if not isinstance(column, Coded):
        return column
    before = values.setdefault(name, [])
    shift = sum(map(len, before))
    before.append(column.values)
    return column.places + np.int32(shift) if shift else column.places


def _rooms(rows: int, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns to be written, of ``rows`` rows; they share one piece of memory, one behind the other."""
    shapes = {name: (rows, *column.shape[1:]) for name, column in like.items()}
    sizes = {name: math.prod(shape) * like[name].dtype.itemsize for name, shape in shapes.items()}
    memory = _lent(sum(sizes.values()) + _ALIGNMENT * len(sizes))
    rooms, end = {}, 0
    for name, size in sizes.items():
        first = end + -(memory.ctypes.data + end) % _ALIGNMENT
        end = first + size
        room = memory[first:end].view(like[name].dtype).reshape(shapes[name])
        rooms[name] = np.asarray(room)
    return rooms


class _Lent(np.ndarray):
    """Memory that is returned when the last array in it is gone; a type of its own, which NumPy keeps as their base."""


# A new page of memory costs more than what is written to it: what was used is used again, at most so many pieces lie idle.
_idle: collections.deque[np.ndarray] = collections.deque(maxlen=4)


def _lent(size: int) -> np.ndarray:
    """At least so many bytes; those too small for what is read now are let go of."""
    memory = np.empty(0, np.uint8)
    while len(memory) < size:
        try:
            memory = _idle.pop()
        except IndexError:
            # In one piece, since the system gives large pieces in large pages.
            memory = np.empty(size, np.uint8)
    lent = memory.view(_Lent)
    weakref.finalize(lent, _idle.append, memory).atexit = False
    return lent


def _whole_rows(column: np.ndarray) -> np.ndarray:
    """The same memory with a row as one value, which NumPy moves as a whole."""
    if column.ndim == 1 or not column.size:
        return column
    return np.ascontiguousarray(column).view(np.dtype((np.void, column[0].nbytes))).reshape(-1)

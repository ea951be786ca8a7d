"""From a source's blocks to the batches of a training step.

Batches are made of columns, never of single rows: splitting a table into rows and batching them again costs more than
everything else in an input pipeline. The row order of a day is a function of (seed, day, pass) alone, so the batches from
any position on can be made without making those before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ...models.schema import Schema
from ..config.errors import UserError
from .source import Coded, CodedColumns, Source

_BATCHES_AHEAD = 16
_ALIGNMENT = 64
_SAID = re.compile(r"<<(.*?)>>", re.DOTALL)


def training_batches(
    source: Source,
    day: int,
    *,
    batch_size: int,
    seed: int,
    pass_index: int = 0,
    shuffle: bool = True,
    shuffle_rows: int = 0,
    start: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """The batches of one day, from the batch ``start`` on.

    Args:
      source: The log.
      day: Position of the day in ``source.days``.
      batch_size: Rows of a batch. The last batch of a day is filled up with rows without labels, which train nothing.
      seed: Seed of the order.
      pass_index: Which pass over the day this is; each has its own order.
      shuffle: Whether the rows are permuted.
      shuffle_rows: Rows that are permuted together: of random blocks, until there are so many. 0: each block by itself, in
        the log's order.
      start: Batches to leave out.
      replicas: Parts of equal size into which each batch is cut, one after the other, one for each replica; a divisor of
        ``batch_size``.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """
    block_rows = source.block_rows(day)

    def order(window: int, rows: int) -> np.ndarray:
        return np.random.default_rng((seed, day, pass_index, window)).permutation(rows)

    windows = None
    if shuffle and shuffle_rows:
        blocks = np.random.default_rng((seed, day, pass_index)).permutation(len(block_rows))
        windows = _windows(blocks.tolist(), block_rows, shuffle_rows)
    return _batches(
        source,
        day,
        batch_size,
        replicas,
        first_row=start * batch_size,
        last_row=sum(block_rows),
        windows=windows,
        order=order if shuffle else None,
    )


def evaluation_batches(
    source: Source, day: int, *, batch_size: int, rows: int = 0, replicas: int = 1
) -> tf.data.Dataset:
    """The first ``rows`` rows of a day (0: all), each once and in the log's order, in batches of static shape."""
    there = sum(source.block_rows(day))
    return _batches(source, day, batch_size, replicas, first_row=0, last_row=min(rows or there, there))


def reading_error(error: tf.errors.OpError) -> str:
    """The words of the :class:`UserError` that a source ended a dataset with; "" when it is another error."""
    found = _SAID.search(str(error))
    return found[1] if found else ""


def steps_of(rows: int, batch_size: int) -> int:
    """Batches that hold ``rows`` rows, the last one perhaps filled up."""
    return -(-rows // batch_size)


def _windows(blocks: Sequence[int], rows: Sequence[int], least: int) -> list[list[int]]:
    """The blocks in their order, in groups that hold ``least`` rows; the last one perhaps fewer."""
    windows: list[list[int]] = [[]]
    held = 0
    for index in blocks:
        if held >= least:
            windows.append([])
            held = 0
        windows[-1].append(index)
        held += rows[index]
    return windows


def _batches(
    source: Source,
    day: int,
    batch_size: int,
    replicas: int,
    *,
    first_row: int,
    last_row: int,
    windows: Sequence[Sequence[int]] | None = None,
    order: Callable[[int, int], np.ndarray] | None = None,
) -> tf.data.Dataset:
    """The rows from ``first_row`` to before ``last_row`` of the windows, by default each block by itself, in this order."""
    block_rows = source.block_rows(day)
    windows = [[index] for index in range(len(block_rows))] if windows is None else windows
    window_rows = np.array([sum(block_rows[index] for index in window) for window in windows], np.int64)
    ends = np.cumsum(window_rows)
    starts = ends - window_rows
    first_window, end_window = np.searchsorted(ends, first_row, side="right"), np.searchsorted(starts, last_row)
    filling = -(last_row - first_row) % batch_size
    columns = source.schema.columns
    coded = hasattr(source, "coded_block")

    def load(window: np.int64) -> list[np.ndarray]:
        rows = int(window_rows[window])
        wanted = slice(max(first_row - int(starts[window]), 0), min(last_row - int(starts[window]), rows))
        picked = order(int(window), rows) if order else None
        filled = filling if window == end_window - 1 else 0
        blocks = (_block(source, day, index) for index in windows[int(window)])
        if picked is not None:
            # Rows that fill a batch are taken from all over the window, wherever the batches begin.
            parts = _mixed(blocks, rows, picked if filled else picked[wanted])
        else:
            [block] = blocks
            parts = block if filled else {name: block[name][wanted] for name in columns}
        if filled:
            parts = _filled(parts, np.arange(rows)[wanted], filled, source.schema)
        arrays = []
        for name in columns:
            column = parts[name]
            arrays += [column.values, column.places] if isinstance(column, Coded) else [np.ascontiguousarray(column)]
        return arrays

    # There is nothing to convert, and looking for it takes longer than reading a block.
    @tf.autograph.experimental.do_not_convert
    def as_tensors(index: tf.Tensor) -> dict[str, tf.Tensor]:
        dtypes = []
        for dtype, _ in columns.values():
            dtypes += [tf.string, tf.int32] if coded and dtype == "string" else [tf.as_dtype(dtype)]
        tensors = iter(tf.numpy_function(load, [index], dtypes))
        named = {}
        for name, (dtype, shape) in columns.items():
            named[name] = next(tensors)
            if coded and dtype == "string":
                # TensorFlow makes its strings of a few values instead of one for each row, and copies them on its own threads.
                named[name] = tf.gather(named[name], next(tensors))
            named[name].set_shape([None, *shape])
        return named

    # Windows are made side by side but handed on in order; the batches are cut after, since cutting is cheap and needs
    # the order; the prefetch comes last, so that whole batches wait for the training step.
    dataset = tf.data.Dataset.range(int(first_window), int(end_window))
    dataset = dataset.map(as_tensors, num_parallel_calls=2, deterministic=True)
    dataset = dataset.rebatch(batch_size // replicas, drop_remainder=True)
    return dataset.prefetch(_BATCHES_AHEAD * replicas)


def _block(source: Source, day: int, index: int) -> CodedColumns:
    try:
        read: Callable[[int, int], Any] = getattr(source, "coded_block", source.block)
        return read(day, index)
    except UserError as error:
        # TensorFlow turns it into an error of its own, which holds the text alone.
        raise ValueError(f"<<{error}>>") from error


def _mixed(blocks: Iterable[CodedColumns], rows: int, picked: np.ndarray) -> CodedColumns:
    """The rows ``picked`` of all blocks, which have ``rows`` together; one block after the other, so that it can be let go of."""
    places = np.full(rows, -1)
    places[picked] = np.arange(len(picked))
    mixed: dict[str, np.ndarray] = {}
    values: dict[str, list[np.ndarray]] = {}
    first = 0
    for block in blocks:
        there = _rows_of(block)
        to = places[first : first + there]
        kept = slice(None) if (to >= 0).all() else to >= 0
        for name, column in block.items():
            if isinstance(column, Coded):
                before = values.setdefault(name, [])
                shift = sum(map(len, before))
                before.append(column.values)
                column = column.places + np.int32(shift) if shift else column.places
            if name not in mixed:
                mixed[name] = _room(len(picked), column)
            elif column.dtype.itemsize > mixed[name].dtype.itemsize:
                # Strings that are longer than those before.
                mixed[name] = mixed[name].astype(column.dtype)
            _whole_rows(mixed[name])[to[kept]] = _whole_rows(column.astype(mixed[name].dtype, copy=False))[kept]
        first += there
    return {
        name: Coded(np.concatenate(values[name]), column) if name in values else column
        for name, column in mixed.items()
    }


def _rows_of(columns: CodedColumns) -> int:
    first = next(iter(columns.values()))
    return len(first.places if isinstance(first, Coded) else first)


def _room(rows: int, like: np.ndarray) -> np.ndarray:
    """Rows to be written, lying in memory so that TensorFlow takes them as they are; it would copy what is not aligned."""
    shape = (rows, *like.shape[1:])
    size = math.prod(shape) * like.dtype.itemsize
    room = np.empty(size + _ALIGNMENT, np.uint8)
    first = -room.ctypes.data % _ALIGNMENT
    return room[first : first + size].view(like.dtype).reshape(shape)


def _whole_rows(column: np.ndarray) -> np.ndarray:
    """The same memory with a row as one value, which NumPy moves as a whole."""
    if column.ndim == 1 or not column.size:
        return column
    return np.ascontiguousarray(column).view(np.dtype((np.void, column[0].nbytes))).reshape(-1)


def _filled(columns: CodedColumns, wanted: np.ndarray, filled: int, schema: Schema) -> CodedColumns:
    """The rows ``wanted``, and behind them others without labels: those train nothing, and their features are such as there are."""
    chosen = np.concatenate([wanted, np.arange(filled) * _rows_of(columns) // filled])
    taken = {name: columns[name][chosen] for name in schema.columns}
    for label in schema.label_columns:
        column = taken[label]
        assert isinstance(column, np.ndarray)
        column[-filled:] = np.nan
    return taken

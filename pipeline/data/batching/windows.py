"""Shuffle windows: groups of a day's rows. The pipeline reads and permutes one group at a time.

The row order of a day depends only on (seed, day, pass), and each window depends only on the log and the order. Any
process can therefore make any window, and a resumed run makes only the windows that it still needs.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from ....models.schema import Schema
from ...config.errors import UserError
from ..columns import DictionaryColumn, EncodedColumns, count_rows
from ..source import RowFaults, Source
from .gather import gather_rows


@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """The rows of a day to read, and their order. Together, the log and the order determine every batch.

    Attributes:
      day: Position of the day in the source's ``days``.
      batch_size: Rows of a batch, over all workers and replicas. The last batch of a day is padded with rows without
        labels, which do not affect training.
      rows: Number of rows to read, from the first row of the day; 0 for all.
      seed: Seed of the order.
      pass_index: Number of the pass over the day, from 0. Each pass has its own order.
      shuffle: Whether to permute the rows.
      shuffle_rows: Minimum number of rows that are permuted together. Random blocks are added to a window until it has
        this many rows. With 0, each block is permuted separately, and blocks keep the log's order.
      start: Number of batches to skip.
      replicas: Number of equal parts of a batch, one for each replica. It divides ``batch_size``.
      worker: Number of the worker that reads, from 0.
      workers: Number of workers. Each reads its own contiguous part of the day and the same number of batches. It
        divides ``replicas``, and each worker feeds the same number of replicas.
    """

    day: int
    batch_size: int
    rows: int = 0
    seed: int = 0
    pass_index: int = 0
    shuffle: bool = False
    shuffle_rows: int = 0
    start: int = 0
    replicas: int = 1
    worker: int = 0
    workers: int = 1


class WindowService(Protocol):
    """Makes windows outside this process."""

    def load_windows(
        self, order: BatchOrder, windows: ShuffleWindows
    ) -> Iterable[tuple[list[np.ndarray], list[RowFaults]]]:
        """Yields what :meth:`ShuffleWindows.load` returns, for each of ``windows.positions``, in order."""
        ...


class ShuffleWindows:
    """The windows of a day in a given order.

    Args:
      source: The log.
      order: Which rows, and in which order.

    Attributes:
      positions: The windows that the order needs.
      rows_per_element: Rows of an element of the dataset, which is one replica's part of a batch.
      dtypes: Dtypes of the arrays that :meth:`load` returns: one array for each column, and two for a
        dictionary-encoded one.

    Raises:
      UserError: If the day has fewer rows than there are workers.
    """

    def __init__(self, source: Source, order: BatchOrder):
        self._source, self._order = source, order
        self._block_rows = source.block_rows(order.day)
        total = sum(self._block_rows)
        total = min(order.rows or total, total)
        begin, end = (total * (order.worker + i) // order.workers for i in (0, 1))
        if begin == end and total:
            raise UserError(
                f"{source.days[order.day]} has {total:,} rows, too few for {order.workers} workers; each needs at least one row"
            )
        self._pieces = _cut_pieces(self._block_rows, begin, end)
        chunks = source.storage_chunks(order.day)
        self._chunks = [chunks[piece.block] for piece in self._pieces]
        self._windows = self._group_pieces()
        self._loaded: dict[int, threading.Event] = {}
        self._rows = np.array([sum(self._pieces[i].rows for i in window) for window in self._windows], np.int64)
        ends = np.cumsum(self._rows)
        self._starts = ends - self._rows
        self._first_row = order.start * order.batch_size // order.workers
        steps = count_steps(total, order.batch_size)
        first = len(ends)
        if order.start < steps:
            # The last window is needed even if its rows are used up, because it supplies the padding of this worker's
            # last batch.
            first = min(int(np.searchsorted(ends, self._first_row, side="right")), len(ends) - 1)
        self.positions = range(first, len(ends))
        self.rows_per_element = order.batch_size // order.replicas
        self._padding = steps * order.batch_size // order.workers - (end - begin)
        self.dtypes: list[tf.DType] = []
        for dtype, _ in source.schema.columns.values():
            encoded = source.encodes_strings and dtype == "string"
            self.dtypes += [tf.string, tf.int32] if encoded else [tf.as_dtype(dtype)]

    def load(self, window: int) -> tuple[list[np.ndarray], list[RowFaults]]:
        """Returns the arrays of one window and the faults of its blocks."""
        order, schema = self._order, self._source.schema
        rows, start = int(self._rows[window]), int(self._starts[window])
        needed = slice(min(max(self._first_row - start, 0), rows), rows)
        padding = self._padding if window == len(self._rows) - 1 else 0
        faults: list[RowFaults] = []
        blocks = self._read_blocks(window, faults)
        if order.shuffle:
            permutation = np.random.default_rng((order.seed, order.day, order.pass_index, window)).permutation(rows)
            # Padding is drawn from the whole window, so that it does not depend on where the batches begin.
            columns = gather_rows(blocks, rows, permutation if padding else permutation[needed])
        else:
            [block] = blocks
            columns = block if padding else {name: block[name][needed] for name in schema.columns}
        if padding:
            columns = _pad(columns, np.arange(rows)[needed], padding, schema)
        arrays: list[np.ndarray] = []
        for name in schema.columns:
            column = columns[name]
            if isinstance(column, DictionaryColumn):
                arrays += [column.values, column.indices]
            else:
                arrays.append(np.ascontiguousarray(column))
        return arrays, faults

    def _group_pieces(self) -> list[list[int]]:
        """Returns the pieces of each window."""
        order, pieces = self._order, range(len(self._pieces))
        if not (order.shuffle and order.shuffle_rows):
            return [[piece] for piece in pieces]
        chunks = [list(chunk) for _, chunk in itertools.groupby(pieces, self._chunks.__getitem__)]
        permutation = np.random.default_rng((order.seed, order.day, order.pass_index)).permutation(len(chunks))
        windows: list[list[int]] = [[]]
        rows = 0
        for piece in itertools.chain.from_iterable(chunks[i] for i in permutation):
            if rows >= order.shuffle_rows:
                windows.append([])
                rows = 0
            windows[-1].append(piece)
            rows += self._pieces[piece].rows
        return windows

    def _read_blocks(self, window: int, faults: list[RowFaults]) -> Iterator[EncodedColumns]:
        """Yields the blocks of a window.

        Windows are read in parallel. If the previous window ends in the chunk in which this window begins, this window
        waits until the previous one is read. Otherwise, both would decode the same chunk.
        """
        previous, loaded = self._loaded.get(window - 1), threading.Event()
        self._loaded[window] = loaded
        pieces = self._windows[window]
        try:
            if previous is not None and self._chunks[self._windows[window - 1][-1]] == self._chunks[pieces[0]]:
                previous.wait()
            for piece in pieces:
                block = self._read_piece(self._pieces[piece], faults)
                if piece == pieces[-1]:
                    loaded.set()
                yield block
        finally:
            loaded.set()

    def _read_piece(self, piece: _Piece, faults: list[RowFaults]) -> EncodedColumns:
        columns, block_faults = self._source.read_block(self._order.day, piece.block)
        if block_faults is not None:
            faults.append(block_faults)
        if piece.rows == self._block_rows[piece.block]:
            return columns
        return {name: column[piece.first : piece.first + piece.rows] for name, column in columns.items()}


def count_steps(rows: int, batch_size: int) -> int:
    """Returns the number of batches for ``rows`` rows; the last one may be padded.

    Example:
    >>> count_steps(100, 32)
    4
    """
    return -(-rows // batch_size)


@dataclasses.dataclass(frozen=True)
class _Piece:
    """The rows of a block that one worker reads."""

    block: int
    first: int
    rows: int


def _cut_pieces(block_rows: Sequence[int], begin: int, end: int) -> list[_Piece]:
    """Returns the rows from ``begin`` up to ``end`` of consecutive blocks."""
    pieces, before = [], 0
    for block, rows in enumerate(block_rows):
        first, last = max(begin - before, 0), min(end - before, rows)
        if first < last:
            pieces.append(_Piece(block, first, last - first))
        before += rows
    return pieces


def _pad(columns: EncodedColumns, rows: np.ndarray, padding: int, schema: Schema) -> EncodedColumns:
    """Returns ``rows``, followed by ``padding`` rows without labels, which do not affect training.

    Their features are copied from real rows, because rows of zeros would change the norms and ranges that are measured.
    """
    chosen = np.concatenate([rows, np.arange(padding) * count_rows(columns) // padding])
    padded = {name: columns[name][chosen] for name in schema.columns}
    for label in schema.label_columns:
        column = padded[label]
        assert isinstance(column, np.ndarray)
        column[-padding:] = np.nan
    return padded

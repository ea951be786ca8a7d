"""From a source's blocks to the batches of a training step.

Batches are made of columns, never of single rows: splitting a table into rows and batching them again costs more than
everything else in an input pipeline. The row order of a day is a function of (seed, day, pass) alone, so the batches from
any position on can be made without making those before it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np
import tensorflow as tf

from ....models.schema import Schema
from ...config.errors import UserError
from ..source import Coded, CodedColumns, Note, NotingSource, Source, rows_of
from .mixing import mixed

_BATCHES_AHEAD = 16
_SAID = re.compile(r"<<(.*?)>>", re.DOTALL)


class Service(Protocol):
    """Makes windows."""

    def made(self, order: Order, windows: Windows) -> Iterable[tuple[list[np.ndarray], list[Note]]]:
        """What ``windows.load`` returns, window by window."""
        ...


@dataclasses.dataclass(frozen=True)
class Order:
    """Which rows of a day come, and in which order; with the log it says what every batch holds.

    Attributes:
      day: Position of the day in the source's ``days``.
      batch_size: Rows of a batch, over all workers and replicas. The last batch of a day is filled up with rows without labels,
        which train nothing.
      rows: The first rows of the day are taken, so many; 0: all.
      seed: Seed of the order.
      pass_index: Which pass over the day this is; each has its own order.
      shuffle: Whether the rows are permuted.
      shuffle_rows: Rows that are permuted together: of random blocks, until there are so many. 0: each block by itself, in
        the log's order.
      start: Batches to leave out.
      replicas: Parts of equal size that make up a batch, one for each replica; a divisor of ``batch_size``.
      worker: Which of the workers reads.
      workers: How many read, each a part of the day's rows, one after the other and of equal length, and as many batches;
        a divisor of ``replicas``, of which each worker feeds as many.
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


class Windows:
    """The rows of a day in windows, each of which is read, and permuted, by itself; a window is a function of the log and the
    order alone.

    Args:
      source: The log.
      order: Which rows, and in which order.

    Attributes:
      positions: The windows that there are.
      rows_of_element: Rows of an element of the dataset, a replica's part of a batch.
      dtypes: Of the arrays of :meth:`load`: one for each column, two for one of strings if they are ``coded``.
      coded: Whether strings come coded, as the values and the places in them.
    """

    def __init__(self, source: Source, order: Order):
        self._source, self._order = source, order
        self._block_rows = source.block_rows(order.day)
        total = sum(self._block_rows)
        total = min(order.rows or total, total)
        steps = steps_of(total, order.batch_size)
        begin, end = (total * (order.worker + i) // order.workers for i in (0, 1))
        if begin == end and total:
            raise UserError(
                f"{source.days[order.day]} has {total:,} rows, too few for {order.workers} workers; give each a row"
            )
        self._pieces = _pieces(self._block_rows, begin, end)
        rows = [piece.rows for piece in self._pieces]
        self._noting: NotingSource | None = cast(NotingSource, source) if hasattr(source, "read") else None
        runs = self._noting.runs(order.day) if self._noting else range(len(self._block_rows))
        self._runs = [runs[piece.block] for piece in self._pieces]
        self._windows = [[i] for i in range(len(rows))]
        if order.shuffle and order.shuffle_rows:
            together = [list(run) for _, run in itertools.groupby(range(len(rows)), self._runs.__getitem__)]
            picked = np.random.default_rng((order.seed, order.day, order.pass_index)).permutation(len(together))
            self._windows = _windows([i for run in picked for i in together[run]], rows, order.shuffle_rows)
        self._being_read: dict[int, threading.Event] = {}
        self._rows = np.array([sum(rows[i] for i in window) for window in self._windows], np.int64)
        ends = np.cumsum(self._rows)
        self._starts = ends - self._rows
        self._first_row = order.start * order.batch_size // order.workers
        # The last window is there as well when its rows are over and others fill the worker's last batch.
        first = (
            min(int(np.searchsorted(ends, self._first_row, side="right")), len(ends) - 1)
            if order.start < steps
            else len(ends)
        )
        self.positions = range(first, len(ends))
        self.rows_of_element = order.batch_size // order.replicas
        self._filling = steps * order.batch_size // order.workers - (end - begin)
        self.coded = self._noting is not None
        self.dtypes = []
        for dtype, _ in source.schema.columns.values():
            self.dtypes += [tf.string, tf.int32] if self.coded and dtype == "string" else [tf.as_dtype(dtype)]

    def load(self, window: int) -> tuple[list[np.ndarray], list[Note]]:
        """The arrays of one window, and what was wrong with the blocks that it was made of."""
        order, schema = self._order, self._source.schema
        rows, start = int(self._rows[window]), int(self._starts[window])
        wanted = slice(min(max(self._first_row - start, 0), rows), rows)
        filled = self._filling if window == len(self._rows) - 1 else 0
        notes: list[Note] = []
        pieces = self._in_turn(window, notes)
        if order.shuffle:
            seed = (order.seed, order.day, order.pass_index, window)
            picked = np.random.default_rng(seed).permutation(rows)
            # Rows that fill a batch are taken from all over the window, wherever the batches begin.
            parts = mixed(pieces, rows, picked if filled else picked[wanted])
        else:
            [piece] = pieces
            parts = piece if filled else {name: piece[name][wanted] for name in schema.columns}
        if filled:
            parts = _filled(parts, np.arange(rows)[wanted], filled, schema)
        arrays = []
        for name in schema.columns:
            column = parts[name]
            arrays += [column.values, column.places] if isinstance(column, Coded) else [np.ascontiguousarray(column)]
        return arrays, notes

    def _in_turn(self, window: int, notes: list[Note]) -> Iterator[CodedColumns]:
        """The blocks of a window; when they go on where those of the window before end, and that is being read, after it."""
        before, done = self._being_read.get(window - 1), threading.Event()
        self._being_read[window] = done
        pieces = self._windows[window]
        try:
            if before is not None and self._runs[self._windows[window - 1][-1]] == self._runs[pieces[0]]:
                before.wait()
            for piece in pieces:
                block = self._read(self._pieces[piece], notes)
                if piece == pieces[-1]:
                    done.set()
                yield block
        finally:
            done.set()

    def _read(self, piece: _Piece, notes: list[Note]) -> CodedColumns:
        day = self._order.day
        columns: CodedColumns
        if self._noting is not None:
            columns, note = self._noting.read(day, piece.block)
            notes += [note] if note is not None else []
        else:
            columns = dict(self._source.block(day, piece.block))
        if piece.rows == self._block_rows[piece.block]:
            return columns
        return {name: column[piece.first : piece.first + piece.rows] for name, column in columns.items()}


def training_batches(
    source: Source,
    day: int,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    service: Service | None = None,
    **order: Any,
) -> tf.data.Dataset:
    """The batches of one day for training.

    Args:
      source: The log.
      day: Position of the day in ``source.days``.
      batch_size: See :class:`Order`, like ``seed`` and ``shuffle``.
      seed: Seed of the order.
      shuffle: Whether the rows are permuted.
      service: See :func:`batches`.
      **order: What else an :class:`Order` has.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """
    return batches(source, Order(day, batch_size, seed=seed, shuffle=shuffle, **order), service)


def evaluation_batches(
    source: Source, day: int, *, batch_size: int, rows: int = 0, service: Service | None = None, **order: Any
) -> tf.data.Dataset:
    """The first ``rows`` rows of a day (0: all), each once and in the log's order, in batches of static shape."""
    return batches(source, Order(day, batch_size, rows=rows, **order), service)


def batches(source: Source, order: Order, service: Service | None = None) -> tf.data.Dataset:
    """The batches of an order.

    Args:
      source: The log.
      order: Which rows, and in which order.
      service: What makes the windows. None: this process, two at a time.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """
    windows = Windows(source, order)

    def taken(arrays: list[np.ndarray], notes: list[Note]) -> list[np.ndarray]:
        for note in notes:
            cast(NotingSource, source).take(note)
        return arrays

    def load(window: np.int64) -> list[np.ndarray]:
        with telling():
            return taken(*windows.load(int(window)))

    def ordered() -> Iterator[tuple[np.ndarray, ...]]:
        assert service is not None
        with telling():
            for arrays, notes in service.made(order, windows):
                yield tuple(taken(arrays, notes))

    # There is nothing to convert, and looking for it takes longer than reading a block.
    @tf.autograph.experimental.do_not_convert
    def by_name(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = iter(arrays)
        named = {}
        for name, (dtype, shape) in source.schema.columns.items():
            named[name] = next(tensors)
            if windows.coded and dtype == "string":
                # TensorFlow makes its strings of a few values instead of one for each row, and copies them on its own threads;
                # tf.gather does the same at twice the cost.
                named[name] = tf.gather_nd(named[name], tf.expand_dims(next(tensors), -1))
            named[name].set_shape([None, *shape])
        return named

    @tf.autograph.experimental.do_not_convert
    def made_here(window: tf.Tensor) -> dict[str, tf.Tensor]:
        return by_name(*tf.numpy_function(load, [window], windows.dtypes))

    # Windows are made side by side but handed on in order; the batches are cut after, since cutting is cheap and needs
    # the order; the prefetch comes last, so that whole batches wait for the training step.
    if service is None:
        dataset = tf.data.Dataset.range(windows.positions.start, windows.positions.stop)
        dataset = dataset.map(made_here, num_parallel_calls=2, deterministic=True)
    else:
        signature = tuple(tf.TensorSpec(None, dtype) for dtype in windows.dtypes)
        dataset = tf.data.Dataset.from_generator(ordered, output_signature=signature).prefetch(1).map(by_name)
    dataset = dataset.rebatch(windows.rows_of_element, drop_remainder=True)
    # Nothing here is left to tuning, whose thread may hold the end of a dataset up by the 0.6 s for which it sleeps.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    return dataset.prefetch(_BATCHES_AHEAD * order.replicas // order.workers)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Marks the words of a :class:`UserError`: TensorFlow makes an error of its own of it, which holds the text alone."""
    try:
        yield
    except UserError as error:
        raise ValueError(f"<<{error}>>") from error


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


@dataclasses.dataclass(frozen=True)
class _Piece:
    """Rows of a block that one worker reads."""

    block: int
    first: int
    rows: int


def _pieces(block_rows: Sequence[int], begin: int, end: int) -> list[_Piece]:
    """The rows from ``begin`` to before ``end`` of blocks that follow one another."""
    pieces, before = [], 0
    for block, rows in enumerate(block_rows):
        first, last = max(begin - before, 0), min(end - before, rows)
        if first < last:
            pieces.append(_Piece(block, first, last - first))
        before += rows
    return pieces


def _filled(columns: CodedColumns, wanted: np.ndarray, filled: int, schema: Schema) -> CodedColumns:
    """The rows ``wanted``, and behind them others without labels: those train nothing, and their features are such as there are."""
    chosen = np.concatenate([wanted, np.arange(filled) * rows_of(columns) // filled])
    taken = {name: columns[name][chosen] for name in schema.columns}
    for label in schema.label_columns:
        column = taken[label]
        assert isinstance(column, np.ndarray)
        column[-filled:] = np.nan
    return taken

"""From a source's blocks to the batches of a training step.

Batches are made of columns, never of single rows: splitting a table into rows and batching them again costs more than
everything else in an input pipeline. The row order of a day is a function of (seed, day, pass) alone, so the batches from
any position on can be made without making those before it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ...models.schema import Schema
from .source import Columns, Source

_BATCHES_AHEAD = 16


def training_batches(
    source: Source,
    day: int,
    *,
    batch_size: int,
    seed: int,
    pass_index: int = 0,
    shuffle: bool = True,
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
      shuffle: Whether the rows of each block are permuted.
      start: Batches to leave out.
      replicas: Parts of equal size into which each batch is cut, one after the other, one for each replica; a divisor of
        ``batch_size``.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """

    def order(index: int, rows: int) -> np.ndarray | None:
        return np.random.default_rng((seed, day, pass_index, index)).permutation(rows) if shuffle else None

    rows = sum(source.block_rows(day))
    return _batches(source, day, batch_size, replicas, first_row=start * batch_size, last_row=rows, order=order)


def evaluation_batches(
    source: Source, day: int, *, batch_size: int, rows: int = 0, replicas: int = 1
) -> tf.data.Dataset:
    """The first ``rows`` rows of a day (0: all), each once and in the log's order, in batches of static shape."""
    last_row = min(rows or sum(source.block_rows(day)), sum(source.block_rows(day)))
    return _batches(source, day, batch_size, replicas, first_row=0, last_row=last_row, order=lambda index, rows: None)


def steps_of(rows: int, batch_size: int) -> int:
    """Batches that hold ``rows`` rows, the last one perhaps filled up."""
    return -(-rows // batch_size)


def _batches(
    source: Source,
    day: int,
    batch_size: int,
    replicas: int,
    *,
    first_row: int,
    last_row: int,
    order: Callable[[int, int], np.ndarray | None],
) -> tf.data.Dataset:
    ends = np.cumsum(source.block_rows(day))
    starts = ends - np.asarray(source.block_rows(day))
    first_block, end_block = np.searchsorted(ends, first_row, side="right"), np.searchsorted(starts, last_row)
    filling = -(last_row - first_row) % batch_size
    columns = source.schema.columns

    def load(index: np.int64) -> list[np.ndarray]:
        rows = int(ends[index] - starts[index])
        parts = source.block(day, int(index))
        wanted = slice(max(first_row - int(starts[index]), 0), min(last_row - int(starts[index]), rows))
        picked = order(int(index), rows)
        if picked is not None:
            parts = {name: parts[name][picked[wanted]] for name in columns}
        elif wanted != slice(0, rows):
            parts = {name: parts[name][wanted] for name in columns}
        if index == end_block - 1:
            parts = _filled(parts, filling, source.schema)
        return [np.ascontiguousarray(parts[name]) for name in columns]

    def as_tensors(index: tf.Tensor) -> dict[str, tf.Tensor]:
        dtypes = [tf.as_dtype(dtype) for dtype, _ in columns.values()]
        tensors = tf.numpy_function(load, [index], dtypes)
        for tensor, (_, shape) in zip(tensors, columns.values(), strict=True):
            tensor.set_shape([None, *shape])
        return dict(zip(columns, tensors, strict=True))

    # Blocks are made side by side but handed on in order; the batches are cut after, since cutting is cheap and needs
    # the order; the prefetch comes last, so that whole batches wait for the training step.
    dataset = tf.data.Dataset.range(int(first_block), int(end_block))
    dataset = dataset.map(as_tensors, num_parallel_calls=2, deterministic=True)
    dataset = dataset.rebatch(batch_size // replicas, drop_remainder=True)
    return dataset.prefetch(_BATCHES_AHEAD * replicas)


def _filled(columns: Columns, rows: int, schema: Schema) -> Columns:
    """Appends rows without labels: they train nothing, and their features are such as there are, taken from all over."""
    there = len(next(iter(columns.values())))
    chosen = np.arange(rows) * there // max(rows, 1)
    filled = {}
    for name in schema.columns:
        extra = columns[name][chosen]
        if name in schema.label_columns:
            extra = np.full_like(extra, np.nan)
        filled[name] = np.concatenate([columns[name], extra])
    return filled

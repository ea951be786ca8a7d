"""Turns the shuffle windows of a day into a ``tf.data`` dataset of batches.

A batch is cut from columns and never assembled from single rows: splitting a table into rows and batching them again
would cost more than the rest of the input pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ..source import RowFaults, Source
from .user_errors import mark_user_errors
from .windows import BatchOrder, ShuffleWindows, WindowService

_PREFETCHED_BATCHES = 16


def make_training_batches(
    source: Source,
    day: int,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    service: WindowService | None = None,
    **order: Any,
) -> tf.data.Dataset:
    """Makes the training batches of one day.

    Args:
      source: The log.
      day: Position of the day in ``source.days``.
      batch_size: Rows of a batch; see :class:`.windows.BatchOrder`.
      seed: Seed of the order.
      shuffle: Whether to permute the rows.
      service: Makes the windows; see :func:`make_batches`.
      **order: The other fields of :class:`.windows.BatchOrder`.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """
    return make_batches(source, BatchOrder(day, batch_size, seed=seed, shuffle=shuffle, **order), service)


def make_evaluation_batches(
    source: Source, day: int, *, batch_size: int, rows: int = 0, service: WindowService | None = None, **order: Any
) -> tf.data.Dataset:
    """Makes batches of the first ``rows`` rows of a day (0: all), each row once and in the log's order.

    The arguments and the result are those of :func:`make_training_batches`.
    """
    return make_batches(source, BatchOrder(day, batch_size, rows=rows, **order), service)


def make_batches(source: Source, order: BatchOrder, service: WindowService | None = None) -> tf.data.Dataset:
    """Makes the batches of an order.

    Args:
      source: The log.
      order: Which rows, and in which order.
      service: Makes the windows. None: this process makes them, two at a time.

    Returns:
      A dataset of mappings from column name to ``[batch_size / replicas, ...]``, of static shape.
    """
    windows = ShuffleWindows(source, order)
    # Windows are made in parallel but delivered in order. Batches are cut afterwards, because cutting is cheap and
    # needs the order. The prefetch comes last, so that whole batches wait for the training step.
    dataset = _local_windows(source, windows) if service is None else _remote_windows(source, order, windows, service)
    dataset = dataset.rebatch(windows.rows_per_element, drop_remainder=True)
    # Without autotuning: its thread sleeps for up to 0.6 s and can delay the end of a dataset by that long.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    return dataset.prefetch(_PREFETCHED_BATCHES * order.replicas // order.workers)


def _local_windows(source: Source, windows: ShuffleWindows) -> tf.data.Dataset:
    """Returns the windows as mappings from column name to tensor, made by this process."""

    def load(window: np.int64) -> list[np.ndarray]:
        with mark_user_errors():
            arrays, faults = windows.load(int(window))
            _record(source, faults)
            return arrays

    # Autograph has nothing to convert here, and its analysis takes longer than reading a block.
    @tf.autograph.experimental.do_not_convert
    def make_window(window: tf.Tensor) -> dict[str, tf.Tensor]:
        return _name_columns(source, tf.numpy_function(load, [window], windows.dtypes))

    dataset = tf.data.Dataset.range(windows.positions.start, windows.positions.stop)
    return dataset.map(make_window, num_parallel_calls=2, deterministic=True)


def _remote_windows(
    source: Source, order: BatchOrder, windows: ShuffleWindows, service: WindowService
) -> tf.data.Dataset:
    """Returns the windows as mappings from column name to tensor, made by the service."""

    def load_all() -> Iterator[tuple[np.ndarray, ...]]:
        with mark_user_errors():
            for arrays, faults in service.load_windows(order, windows):
                _record(source, faults)
                yield tuple(arrays)

    @tf.autograph.experimental.do_not_convert
    def name_columns(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        return _name_columns(source, arrays)

    signature = tuple(tf.TensorSpec(None, dtype) for dtype in windows.dtypes)
    dataset = tf.data.Dataset.from_generator(load_all, output_signature=signature)
    return dataset.prefetch(1).map(name_columns)


def _record(source: Source, faults: list[RowFaults]) -> None:
    for block_faults in faults:
        source.record_faults(block_faults)


def _name_columns(source: Source, arrays: tuple[tf.Tensor, ...] | list[tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the tensors by column name, with static row shapes and decoded strings."""
    remaining = iter(arrays)
    columns = {}
    for name, (dtype, shape) in source.schema.columns.items():
        column = next(remaining)
        if source.encodes_strings and dtype == "string":
            # TensorFlow then converts a few distinct strings instead of one for each row, and copies them on its own
            # threads. tf.gather would do the same at twice the cost.
            column = tf.gather_nd(column, tf.expand_dims(next(remaining), -1))
        column.set_shape([None, *shape])
        columns[name] = column
    return columns

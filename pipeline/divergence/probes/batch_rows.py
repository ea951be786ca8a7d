"""Counts the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ....foundation.metric_key import MetricKey
from ..signal_recorder import Signal

# The kinds of signals that are means over the rows of the batch.
_KINDS = frozenset({"loss", "auc", "calibration", "normalized_loss", "feature", "spread", "missing", "dead_units"})


def add_rows(signals: Sequence[Signal], batch: Any) -> list[Signal]:
    """Adds the number of rows in the batch to the signals that are means over them and have no number yet.

    Args:
      signals: The signals of a step.
      batch: The argument of ``train_step``.
    """
    rows = count_rows(batch)
    return [
        signal._replace(rows=rows)
        if rows is not None and signal.rows is None and MetricKey.parse(signal.name).kind in _KINDS
        else signal
        for signal in signals
    ]


def count_rows(batch: Any) -> tf.Tensor | None:
    """Returns the number of rows in the first tensor of a batch; None without a tensor.

    Example:
    >>> int(count_rows(({"age": tf.zeros([3, 2])}, tf.zeros([3]))))
    3
    """
    for tensor in tf.nest.flatten(batch):
        if isinstance(tensor, tf.RaggedTensor):
            return tensor.nrows()
        if isinstance(tensor, tf.SparseTensor):
            return tensor.dense_shape[0]
        if tf.is_tensor(tensor) and tensor.shape.rank != 0:
            return tf.shape(tensor)[0]
    return None

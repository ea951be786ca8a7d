"""Rows that a ranker cannot compute, because a number is missing, infinite or too large: their outputs are NaN.

NaN itself does not survive the layers. TensorFlow fuses a matrix product and the ReLU after it into one operation, which
turns NaN to 0, and an exported model would return a plausible prediction for a missing number. In bfloat16, oneDNN's
matrix product spreads NaN to other rows. The ranker therefore computes such rows with zeros, and adds a *mark* to their
outputs.

Shapes: B rows of a batch, D width of a row.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# The squares of larger numbers overflow float32, for example in a layer normalization.
_LARGEST = 1e18


def separate_rows(x_BD: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Separates the rows that cannot be computed.

    Returns:
      The rows, with zeros in those that cannot be computed, ``[B, D]``; and their marks, to add to the outputs: NaN for
      such a row and 0 for any other, ``[B, 1]``, float32.

    Example:
    >>> rows, marks = separate_rows(tf.constant([[1.0, 2.0], [np.nan, 2.0], [1e30, 2.0]]))
    >>> rows.numpy().tolist(), marks.numpy().tolist()
    ([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]], [[0.0], [nan], [nan]])
    """
    # The comparison is also false for NaN.
    is_computable_B1 = tf.reduce_all(tf.abs(x_BD) <= min(_LARGEST, float(x_BD.dtype.max)), axis=-1, keepdims=True)
    return tf.where(is_computable_B1, x_BD, tf.zeros([], x_BD.dtype)), tf.where(is_computable_B1, 0.0, np.nan)

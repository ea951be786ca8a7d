"""Reading and writing the part of a variable that a gradient touches.

An optimizer's mathematics is the same for a dense gradient, which touches every coordinate, and for a sparse one
(``tf.IndexedSlices``), which touches some rows of an embedding table. The difference is only which rows are read and
written, and it lives here.

The rows of a sparse gradient must be distinct; Keras sums repeated rows before it calls an optimizer's ``update_step``.
"""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"


def values(gradient: Gradient) -> tf.Tensor:
    """The gradient's numbers: of the variable's shape, or ``[rows, ...]`` when it is sparse."""
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def read(variable: tf.Variable, gradient: Gradient) -> tf.Tensor:
    """What ``variable`` holds where ``gradient`` touches it."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.gather(variable, gradient.indices)
    return tf.convert_to_tensor(variable)


def add(variable: tf.Variable, gradient: Gradient, amount: tf.Tensor) -> None:
    """Adds ``amount`` to ``variable`` where ``gradient`` touches it; no other row is written."""
    if isinstance(gradient, tf.IndexedSlices):
        variable.scatter_add(tf.IndexedSlices(amount, gradient.indices))
    else:
        variable.assign_add(amount)

"""TensorFlow under NumPy's names, and helpers that treat dense and sparse gradients alike.

A dense gradient covers every coordinate of a variable. A sparse gradient (``tf.IndexedSlices``) covers some rows of an
embedding table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from .variable_spec import Operands

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"


class Ops:
    """The functions that the optimizers use, under NumPy's names, as in ``keras.ops``."""

    abs = staticmethod(tf.abs)
    add = staticmethod(tf.add)
    all = staticmethod(tf.reduce_all)
    argmax = staticmethod(tf.argmax)
    cast = staticmethod(tf.cast)
    concatenate = staticmethod(tf.concat)
    exp = staticmethod(tf.exp)
    isfinite = staticmethod(tf.math.is_finite)
    log = staticmethod(tf.math.log)
    logical_and = staticmethod(tf.logical_and)
    maximum = staticmethod(tf.maximum)
    min = staticmethod(tf.reduce_min)
    minimum = staticmethod(tf.minimum)
    ones_like = staticmethod(tf.ones_like)
    reshape = staticmethod(tf.reshape)
    scatter_update = staticmethod(tf.tensor_scatter_nd_update)
    sign = staticmethod(tf.sign)
    size = staticmethod(tf.size)
    slice = staticmethod(tf.slice)
    sqrt = staticmethod(tf.sqrt)
    square = staticmethod(tf.square)
    stack = staticmethod(tf.stack)
    sum = staticmethod(tf.reduce_sum)
    take = staticmethod(tf.gather)
    tanh = staticmethod(tf.tanh)
    unstack = staticmethod(tf.unstack)
    where = staticmethod(tf.where)
    zeros_like = staticmethod(tf.zeros_like)

    @staticmethod
    def fori_loop(lower: int, upper: int, body: Callable[..., Any], value: Any) -> Any:
        """Runs ``value = body(i, value)`` for each ``i`` from ``lower`` to ``upper - 1`` and returns the last value."""
        return tf.while_loop(lambda i, _: i < upper, lambda i, value: (i + 1, body(i, value)), (lower, value))[1]

    @staticmethod
    def pad(x: tf.Tensor, pad_width: Any, constant_values: Any = 0) -> tf.Tensor:
        """Pads ``x`` with constants before and after it, along each axis."""
        return tf.pad(x, pad_width, constant_values=constant_values)

    @staticmethod
    def max(x: tf.Tensor, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> tf.Tensor:
        """Returns the maximum, or ``initial`` if that is larger."""
        largest = tf.reduce_max(x, axis=axis, keepdims=keepdims)
        return largest if initial is None else tf.maximum(largest, tf.cast(initial, largest.dtype))


def storage_dtype(variable: tf.Variable) -> tf.DType:
    """Returns the dtype in which a variable is stored. Under a mixed-precision policy, its ``dtype`` may differ."""
    return getattr(variable, "true_dtype", variable.dtype)


def compute_dtype(variable: tf.Variable) -> str:
    """Returns float64 for a float64 variable and float32 for any other: squares and sums do not fit half precision."""
    return "float64" if storage_dtype(variable) == tf.float64 else "float32"


def read_operands(variable: tf.Variable, accumulator: tf.Variable, gradient: Gradient) -> Operands:
    """Reads the operands of a gradient: all coordinates if it is dense, or its rows if it is sparse."""
    dtype = compute_dtype(variable)
    if isinstance(gradient, tf.IndexedSlices):
        w, total = tf.gather(variable, gradient.indices), tf.gather(accumulator, gradient.indices)
    else:
        w, total = tf.convert_to_tensor(variable), tf.convert_to_tensor(accumulator)
    return Operands(tf.cast(w, dtype), tf.cast(get_values(gradient), dtype), tf.cast(total, dtype))


def get_values(gradient: Gradient) -> tf.Tensor:
    """Returns the numbers of a gradient."""
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def replace_values(gradient: Gradient, values: tf.Tensor) -> Gradient:
    """Returns a gradient of the same kind, for the same rows, with new numbers."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return values

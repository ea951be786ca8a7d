"""Measures layers: their outputs, and the norms of their gradients and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..keras_compat import get_layer_name, get_variable_path, has_relu

# In gradients of this size or more, read only every 16th row.
_LARGE_SIZE, _ROW_STRIDE = 1 << 18, 16


def measure_layer_output(layer: Any, name: str, output: Any) -> dict[str, tf.Tensor]:
    """Measures the output of a layer.

    Args:
      layer: The layer.
      name: Its name in the signals.
      output: Its output. Only a floating-point tensor is measured.

    Returns:
      ``activation/<name>``, and for a layer with a ReLU ``dead_units/<name>``.
    """
    if not tf.is_tensor(output) or not output.dtype.is_floating:
        return {}
    numbers = tf.stop_gradient(output)
    if numbers.dtype != tf.float64:
        # The sum of a tensor in half precision overflows.
        numbers = tf.cast(numbers, tf.float32)
    if not has_relu(layer):
        return {f"activation/{name}": tf.reduce_mean(numbers)}
    # One pass computes both signals. A ReLU is never below 0, so the sum of a unit is 0 only if the unit is 0 in every
    # row, and a value that is not finite cannot cancel out.
    rows = tf.reshape(numbers, [-1, numbers.shape[-1] or 1])
    # A matrix product is three times as fast as TensorFlow's sum over rows.
    unit_sums = tf.linalg.matvec(rows, tf.ones([tf.shape(rows)[0]], rows.dtype), transpose_a=True)
    count = tf.cast(tf.size(rows), unit_sums.dtype)
    return {
        f"activation/{name}": tf.reduce_sum(unit_sums) / count,
        f"dead_units/{name}": tf.reduce_mean(tf.cast(unit_sums == 0, tf.float32)),
    }


def measure_norms(pairs: Sequence[tuple[Any, Any]], model_name: str) -> dict[str, tf.Tensor]:
    """Measures, by layer, the norms of gradients and of dense weights.

    Args:
      pairs: Pairs of a gradient, or None, and its variable.
      model_name: Prefix to remove from the layers' names.

    Returns:
      ``gradient/<layer>`` and ``parameter/<layer>``.
    """
    half_squares: dict[str, list[tf.Tensor]] = {}
    for gradient, variable in pairs:
        if gradient is None:
            continue
        layer = get_layer_name(get_variable_path(variable), model_name)
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        half_squares.setdefault(f"gradient/{layer}", []).append(tf.nn.l2_loss(tf.cast(values, tf.float32)))
        if not isinstance(gradient, tf.IndexedSlices):
            weights = tf.cast(tf.convert_to_tensor(variable), tf.float32)
            half_squares.setdefault(f"parameter/{layer}", []).append(tf.nn.l2_loss(weights))
    return {name: tf.sqrt(2.0 * tf.add_n(halves)) for name, halves in half_squares.items()}


def compute_sampled_norm(gradients: Sequence[Any]) -> tf.Tensor:
    """Computes the norm of gradients, with only every 16th row of large matrices.

    The sample suffices to detect gradients that are not finite, because such a value in a layer spreads to all rows of
    the gradients that depend on it. Reading all rows would dominate the cost of monitoring.
    """
    return tf.linalg.global_norm([_sample_rows(gradient) for gradient in gradients])


def _sample_rows(gradient: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices) or (gradient.shape.num_elements() or 0) < _LARGE_SIZE:
        return gradient
    return gradient[::_ROW_STRIDE] if gradient.shape.rank >= 2 else gradient

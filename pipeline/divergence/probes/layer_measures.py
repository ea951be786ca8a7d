"""Measures layers: their outputs, and the norms of their gradients and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..keras_compat import get_layer_name, get_variable_path, has_relu

# In gradients of this size or more, read only every 16th row.
_LARGE_SIZE, _ROW_STRIDE = 1 << 18, 16
# Operations of TensorFlow, and of the products the attributes that say whether an operand is transposed.
_SUMS = ("Add", "AddV2", "AddN", "BiasAdd")
_PRODUCTS = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMul": ("adj_x", "adj_y"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
}
_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")


def measure_layer_output(layer: Any, name: str, output: Any) -> dict[str, tf.Tensor]:
    """Measures the output of a layer.

    Args:
      layer: The layer.
      name: Its name in the signals.
      output: Its output. Of several tensors, the first floating-point tensor is measured.

    Returns:
      ``activation/<name>``, and for a layer with a ReLU ``dead_units/<name>``. Nothing for a convolution with a bias and
      without an activation, because TensorFlow may fuse it with the next operation; see :func:`measure_mean`.
    """
    tensors = (getattr(part, "flat_values", part) for part in tf.nest.flatten(output))
    output = next((each for each in tensors if isinstance(each, tf.Tensor) and each.dtype.is_floating), None)
    if output is None:
        return {}
    if not has_relu(layer) and _is_fused_convolution(output):
        return {}
    if not has_relu(layer) or output.shape.rank == 0:
        return {f"activation/{name}": measure_mean(output)}
    numbers = _widen(tf.stop_gradient(output))
    # One pass computes both signals. A ReLU is never below 0, so the sum of a unit is 0 only if the unit is 0 in every
    # row, and a value that is not finite cannot cancel out.
    rows = tf.reshape(numbers, [-1, numbers.shape[-1] or 1])
    # A matrix product is three times as fast as TensorFlow's sum over rows.
    unit_sums = tf.linalg.matvec(rows, tf.ones([tf.shape(rows)[0]], rows.dtype), transpose_a=True)
    count = tf.cast(tf.size(rows), unit_sums.dtype)
    return {
        f"activation/{name}": tf.math.divide_no_nan(tf.reduce_sum(unit_sums), count),
        f"dead_units/{name}": tf.reduce_mean(tf.cast(unit_sums == 0, tf.float32)),
    }


def measure_mean(tensor: tf.Tensor) -> tf.Tensor:
    """Computes the mean of a floating-point tensor; 0 without values.

    The means of a sum and of a matrix product are computed from their operands. TensorFlow reorders and fuses such
    operations only if their result has a single consumer, so if the mean consumed it, the result of the next operation
    would round differently than without the mean.

    Example:
    >>> float(measure_mean(tf.constant([1.0, 2.0])))
    1.5
    """
    operation = None if tf.executing_eagerly() else tensor.op
    if operation is not None and operation.type in (*_SUMS, "Reshape"):
        # Broadcasting repeats all values of an operand equally often.
        operands = operation.inputs[:1] if operation.type == "Reshape" else operation.inputs
        return tf.add_n([measure_mean(operand) for operand in operands])
    if operation is not None and operation.type in _PRODUCTS:
        return _measure_product(operation)
    numbers = _widen(tf.stop_gradient(tensor))
    mean = tf.reduce_mean(numbers)
    return mean if numbers.shape.num_elements() else tf.where(tf.size(numbers) > 0, mean, tf.zeros_like(mean))


def _measure_product(operation: Any) -> tf.Tensor:
    """Computes the mean of a matrix product: the product of the means over the rows and over the columns."""
    is_transposed = [operation.get_attr(attribute) for attribute in _PRODUCTS[operation.type]]
    left, right = (_widen(tf.stop_gradient(operand)) for operand in operation.inputs[:2])
    rows = tf.shape(left)[-1 if is_transposed[0] else -2]
    weights = tf.fill([rows], 1.0 / tf.cast(tf.maximum(rows, 1), left.dtype))
    # A matrix product is three times as fast as TensorFlow's sum over rows.
    row_means = tf.linalg.matvec(left, weights, transpose_a=not is_transposed[0])
    column_means = tf.reduce_mean(right, axis=-2 if is_transposed[1] else -1)
    means = tf.reduce_sum(row_means * column_means, axis=-1)
    return tf.math.divide_no_nan(tf.reduce_sum(means), tf.cast(tf.size(means), means.dtype))


def _is_fused_convolution(tensor: tf.Tensor, is_operand: bool = False) -> bool:
    """Returns whether a tensor is the sum of a convolution and others, such as its bias, in the graph."""
    operation = None if tf.executing_eagerly() else tensor.op
    if operation is None or operation.type in _CONVOLUTIONS:
        return is_operand
    return operation.type in _SUMS and any(_is_fused_convolution(operand, True) for operand in operation.inputs)


def _widen(numbers: tf.Tensor) -> tf.Tensor:
    """Casts half precision to float32, in which sums do not overflow."""
    return numbers if numbers.dtype == tf.float64 else tf.cast(numbers, tf.float32)


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
        if gradient is None or gradient.dtype.is_complex:
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


def keep_weights_until(variables: Sequence[Any], tensors: Sequence[tf.Tensor]) -> None:
    """Lets later writes to variables wait for tensors that are computed from the variables, in the graph.

    Otherwise, TensorFlow may write first, and then it copies the variable. Control dependencies around the optimizer would
    have the same effect, but they would change how TensorFlow initializes the variables that the optimizer creates and
    how it simplifies the optimizer's arithmetic.
    """
    if tf.executing_eagerly() or not tensors:
        return
    with tf.control_dependencies(tensors):
        for variable in variables:
            handle = getattr(getattr(variable, "value", variable), "handle", getattr(variable, "handle", None))
            if isinstance(handle, tf.Tensor):
                # TensorFlow orders writes after all reads, and this counts as a read.
                tf.raw_ops.VariableShape(input=handle)

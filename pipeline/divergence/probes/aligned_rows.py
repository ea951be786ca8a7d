"""Brings labels, predictions and weights to the same shape, as Keras's losses do."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class AlignedRows(NamedTuple):
    """The values of one output, flattened.

    Attributes:
      labels, predictions: ``[N]``, float32.
      weights: ``[N]``, float32; None if all are 1.
      unmasked_count: Number of values that no mask hides, a scalar.
    """

    labels: tf.Tensor
    predictions: tf.Tensor
    weights: tf.Tensor | None
    unmasked_count: tf.Tensor


def align_rows(labels: Any, predictions: Any, sample_weight: Any = None) -> AlignedRows | None:
    """Aligns the labels and weights of one output with its predictions.

    Like Keras's losses, it adds or removes a last dimension of 1, broadcasts other dimensions of 1, and takes the mask of
    the predictions, if they have one, as a weight. Where Keras's loss can be computed, these operations cannot fail.

    Args:
      labels: Numbers or booleans, such as ``[B]`` for predictions ``[B, 1]``.
      predictions: ``[B, ...]``.
      sample_weight: ``[B]``, or with more of the predictions' dimensions.

    Returns:
      The values; None if they are no dense numbers, or if their static shapes do not fit.
    """
    if not all(_is_numeric(tensor) for tensor in (labels, predictions)):
        return None
    y = _match_rank(tf.cast(labels, tf.float32), predictions.shape)
    p = tf.cast(predictions, tf.float32)
    if y is None or not _can_broadcast(y.shape, p.shape):
        return None
    y, p = y + tf.zeros_like(p), p + tf.zeros_like(y)
    mask = getattr(predictions, "_keras_mask", None)
    factors = [None if each is None else _spread(each, p) for each in (mask, sample_weight)]
    if any(factor is None and given is not None for factor, given in zip(factors, (mask, sample_weight), strict=True)):
        return None
    weights = None
    for factor in factors:
        if factor is not None:
            weights = factor if weights is None else weights * factor
    unmasked = tf.ones_like(p) if factors[0] is None else factors[0]
    flat_weights = None if weights is None else tf.reshape(weights, [-1])
    return AlignedRows(tf.reshape(y, [-1]), tf.reshape(p, [-1]), flat_weights, tf.reduce_sum(unmasked))


def _is_numeric(tensor: Any) -> bool:
    if not isinstance(tensor, tf.Tensor) or not tensor.shape.rank:
        return False
    return tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool


def _match_rank(labels: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor | None:
    """Adds or removes a last dimension of 1, so that the labels have the rank of a shape; None if this is impossible."""
    if labels.shape.rank == shape.rank:
        return labels
    if labels.shape.rank == shape.rank - 1 and shape[-1] == 1:
        return labels[..., tf.newaxis]
    if labels.shape.rank == shape.rank + 1 and labels.shape[-1] == 1:
        return tf.squeeze(labels, -1)
    return None


def _spread(weights: Any, values: tf.Tensor) -> tf.Tensor | None:
    """Broadcasts weights of rows or time steps to the shape of the values; None if the shapes do not fit."""
    if not isinstance(weights, tf.Tensor) or weights.shape.rank is None:
        return None
    rank = values.shape.rank
    weights = tf.cast(weights, tf.float32)
    if 0 < weights.shape.rank < rank:
        weights = tf.reshape(weights, tf.concat([tf.shape(weights), [1] * (rank - weights.shape.rank)], 0))
    elif weights.shape.rank == rank > 1 and weights.shape[-1] != 1:
        # Keras multiplies such weights with losses that are means over the last dimension.
        return None
    return weights * tf.ones_like(values) if _can_broadcast(weights.shape, values.shape) else None


def _can_broadcast(shape: tf.TensorShape, other: tf.TensorShape) -> bool:
    """Returns whether no dimension of known size prevents that two shapes of the same rank broadcast."""
    return all(None in (a, b) or 1 in (a, b) or a == b for a, b in zip(shape, other, strict=shape.rank != 0))

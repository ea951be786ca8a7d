"""Measures the input features of a batch inside the step. No schema is required.

Numbers are transformed to ``sign(x) * log(1 + |x|)``, so that a few large values of a heavy tail do not hide the
others. Ids and strings are hashed to numbers from 0 to 1. If new ids appear, or one id becomes far more frequent, the
mean and deviation of the hashes move. This requires no vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ....foundation.signed_log import signed_log

# In a matrix of up to this many columns, each column is a feature. A wider matrix is one feature.
_MAX_COLUMNS = 64
_BUCKETS = 1 << 24
# 2^64 divided by the golden ratio, made odd: the high bits of its products with neighboring integers differ widely.
_HASH_MULTIPLIER = -7046029254386353131


def measure_features(
    inputs: Any, names: Sequence[str] | None = None, *, can_hash_strings: bool = True
) -> dict[str, tf.Tensor]:
    """Measures the features of one batch.

    Args:
      inputs: A tensor ``[B, ...]``, or a mapping or sequence of such tensors. Deeper nesting is ignored. In a
        floating-point matrix ``[B, F]`` of up to 64 columns, each column is a feature, ``name[3]``.
      names: The features in a mapping. Default: all.
      can_hash_strings: Whether to measure strings. XLA cannot.

    Returns:
      Scalars: ``feature/<name>``, the mean; ``spread/<name>``, the standard deviation; and for floating-point features
      ``missing/<name>``, the share of values that are not finite. The mean and deviation cover the finite values. The
      scalars of a feature without values, such as an empty bag, are NaN.

    Example:
    >>> sorted(measure_features({"age": tf.constant([20.0, 30.0]), "user": tf.constant([7, 7])}))
    ['feature/age', 'feature/user', 'missing/age', 'spread/age', 'spread/user']
    """
    groups: dict[int | str, list[tuple[list[str], tf.Tensor]]] = {}
    signals: dict[str, tf.Tensor] = {}
    for name, tensor in _select_columns(inputs, names).items():
        if tensor.dtype.is_floating:
            features, columns = _split_columns(name, tensor)
            # Measure columns of equal length together, because a vector operation costs no more than a scalar one.
            length = columns.shape[1]
            groups.setdefault(name if length is None else length, []).append((features, columns))
        elif tensor.dtype.is_integer or tensor.dtype.is_bool or (tensor.dtype == tf.string and can_hash_strings):
            hashes = _hash_ids(tensor)
            signals |= _name_moments(name, tf.reduce_mean(hashes), tf.math.reduce_std(hashes))
    for group in groups.values():
        features = [feature for names, _ in group for feature in names]
        signals |= _measure_columns(features, tf.concat([columns for _, columns in group], axis=0))
    return signals


def _split_columns(name: str, tensor: tf.Tensor) -> tuple[list[str], tf.Tensor]:
    """Splits a floating-point tensor into features. Returns their names, and their values as the rows of a matrix."""
    numbers = tf.cast(tensor, tf.float32)
    if numbers.shape.rank == 2 and numbers.shape[1] is not None and 1 < numbers.shape[1] <= _MAX_COLUMNS:
        columns = tf.transpose(numbers)
        return [f"{name}[{i}]" for i in range(numbers.shape[1])], columns
    return [name], tf.reshape(numbers, [1, -1])


def _measure_columns(features: Sequence[str], numbers: tf.Tensor) -> dict[str, tf.Tensor]:
    """Computes the signals of floating-point features, whose values are the rows of ``numbers``."""
    is_finite = tf.math.is_finite(numbers)
    numbers = signed_log(tf.where(is_finite, numbers, 0.0), tf.math)
    finite_share = tf.reduce_mean(tf.cast(is_finite, tf.float32), axis=1)
    mean = tf.math.divide_no_nan(tf.reduce_mean(numbers, axis=1), finite_share)
    centered = tf.where(is_finite, numbers - mean[:, tf.newaxis], 0.0)
    spread = tf.sqrt(tf.math.divide_no_nan(tf.reduce_mean(tf.square(centered), axis=1), finite_share))
    by_feature = [tf.unstack(values, len(features)) for values in (mean, spread, 1.0 - finite_share)]
    signals: dict[str, tf.Tensor] = {}
    for feature, feature_mean, feature_spread, missing in zip(features, *by_feature, strict=True):
        signals |= _name_moments(feature, feature_mean, feature_spread) | {f"missing/{feature}": missing}
    return signals


def _name_moments(name: str, mean: tf.Tensor, spread: tf.Tensor) -> dict[str, tf.Tensor]:
    return {f"feature/{name}": mean, f"spread/{name}": spread}


def _select_columns(inputs: Any, names: Sequence[str] | None) -> dict[str, tf.Tensor]:
    """Returns the measurable tensors of a batch by name."""
    if isinstance(inputs, Mapping):
        columns = {str(name): inputs[name] for name in (inputs if names is None else names) if name in inputs}
    elif isinstance(inputs, list | tuple):
        columns = {f"x{i}": column for i, column in enumerate(inputs)}
    else:
        columns = {"x": inputs}
    tensors = {}
    for name, column in columns.items():
        values = column.values if isinstance(column, tf.SparseTensor) else getattr(column, "flat_values", column)
        if isinstance(values, tf.Tensor) and values.shape.rank != 0:
            tensors[name] = values
    return tensors


def _hash_ids(ids: tf.Tensor) -> tf.Tensor:
    """Hashes ids, strings or booleans to numbers from 0 to 1."""
    if ids.dtype == tf.string:
        bucket = tf.strings.to_hash_bucket_fast(ids, _BUCKETS)
    else:
        bucket = tf.bitwise.right_shift(tf.cast(ids, tf.int64) * _HASH_MULTIPLIER, 40) & (_BUCKETS - 1)
    return tf.cast(bucket, tf.float32) / _BUCKETS

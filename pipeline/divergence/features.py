"""What a batch's inputs look like, feature by feature, measured inside the step; :mod:`.shifts` tells when it is not as usual.

Numbers are taken as ``sign(x) * log(1 + |x|)``, so that the few large values of a heavy tail do not hide all others. Ids and
strings become numbers between 0 and 1 by a hash: when other ids come, or one comes far too often, mean and deviation of these
move, and no vocabulary is needed to see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ...foundation.signed_log import signed_log

# A wider matrix is one feature; of a narrower one each column is.
_TOLD_APART = 64
_BUCKETS = 1 << 24
# 2^64 over the golden ratio, odd: multiplied by it, the high bits of neighbouring integers lie far apart.
_MULTIPLIER = -7046029254386353131


def batch_statistics(inputs: Any, names: Sequence[str] | None = None) -> dict[str, tf.Tensor]:
    """Scalars of one batch: ``feature/<name>``, the mean; ``spread/<name>``, the standard deviation; and of floating-point
    columns ``missing/<name>``, the share of values that are not finite, which count in neither of the others.

    Args:
      inputs: A tensor ``[B, ...]``, or a mapping or sequence of such; what is nested deeper is left out. In a floating-point
        ``[B, F]`` of up to 64 columns each column is a feature, ``name[3]``; anything else is one.
      names: Only these of a mapping. Default: all.
    """
    floats: dict[int | str, list[tuple[list[str], tf.Tensor]]] = {}
    measured: dict[str, tf.Tensor] = {}
    for name, tensor in _columns(inputs, names).items():
        if tensor.dtype.is_floating:
            numbers = tf.cast(tensor, tf.float32)
            if numbers.shape.rank == 2 and numbers.shape[1] is not None and 1 < numbers.shape[1] <= _TOLD_APART:
                columns = tf.transpose(numbers)
                labels = [f"{name}[{i}]" for i in range(numbers.shape[1])]
            else:
                columns, labels = tf.reshape(numbers, [1, -1]), [name]
            # Columns of one length are measured together: a vector costs what a number does.
            length = columns.shape[1]
            floats.setdefault(name if length is None else length, []).append((labels, columns))
        else:
            value = _hashed(tensor)
            measured |= _pair(name, tf.reduce_mean(value), tf.math.reduce_std(value))
    for group in floats.values():
        labels = [label for some, _ in group for label in some]
        numbers = tf.concat([columns for _, columns in group], axis=0)
        finite = tf.math.is_finite(numbers)
        numbers = tf.where(finite, signed_log(numbers, tf.math), 0.0)
        share = tf.reduce_mean(tf.cast(finite, tf.float32), axis=1)
        mean = tf.math.divide_no_nan(tf.reduce_mean(numbers, axis=1), share)
        centered = tf.where(finite, numbers - mean[:, tf.newaxis], 0.0)
        spread = tf.sqrt(tf.math.divide_no_nan(tf.reduce_mean(tf.square(centered), axis=1), share))
        of_labels = (tf.unstack(values, len(labels)) for values in (mean, spread, 1.0 - share))
        for label, its_mean, its_spread, missing in zip(labels, *of_labels, strict=True):
            measured |= _pair(label, its_mean, its_spread) | {f"missing/{label}": missing}
    return measured


def _pair(name: str, mean: tf.Tensor, spread: tf.Tensor) -> dict[str, tf.Tensor]:
    return {f"feature/{name}": mean, f"spread/{name}": spread}


def _columns(inputs: Any, names: Sequence[str] | None) -> dict[str, tf.Tensor]:
    if isinstance(inputs, Mapping):
        given = {str(name): inputs[name] for name in (inputs if names is None else names) if name in inputs}
    elif isinstance(inputs, list | tuple):
        given = {f"x{i}": part for i, part in enumerate(inputs)}
    else:
        given = {"x": inputs}
    columns = {}
    for name, part in given.items():
        values = part.values if isinstance(part, tf.SparseTensor) else getattr(part, "flat_values", part)
        if tf.is_tensor(values) and values.shape.rank != 0 and not values.dtype.is_complex:
            columns[name] = values
    return columns


def _hashed(ids: tf.Tensor) -> tf.Tensor:
    """Ids, strings or booleans as numbers from 0 to 1."""
    if ids.dtype == tf.string:
        bucket = tf.strings.to_hash_bucket_fast(ids, _BUCKETS)
    else:
        bucket = tf.bitwise.right_shift(tf.cast(ids, tf.int64) * _MULTIPLIER, 40) & (_BUCKETS - 1)
    return tf.cast(bucket, tf.float32) / _BUCKETS

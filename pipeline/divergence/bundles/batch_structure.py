"""Converts a batch to plain types and named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def flatten_batch(batch: Any) -> tuple[Any, dict[str, tf.Tensor]]:
    """Splits a batch into its structure and its tensors.

    Args:
      batch: Nested mappings, lists and tuples of dense, sparse and ragged tensors. None is a leaf without a tensor.

    Returns:
      The structure, in the plain types of JSON, with a name in place of each tensor; and the tensors by name.

    Raises:
      ValueError, TypeError: If a leaf is no tensor.

    Example:
    >>> structure, tensors = flatten_batch(({"x": tf.constant([1.0])}, None))
    >>> structure, list(tensors)
    ({'tuple': [{'mapping': {'x': 'batch/0'}}, None]}, ['batch/0'])
    """
    tensors: dict[str, tf.Tensor] = {}

    def visit(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {"mapping": {str(name): visit(value) for name, value in part.items()}}
        if isinstance(part, list | tuple):
            return {"tuple": [visit(value) for value in part]}
        if isinstance(part, tf.SparseTensor):
            return {"sparse": [visit(component) for component in (part.indices, part.values, part.dense_shape)]}
        if isinstance(part, tf.RaggedTensor):
            return {"ragged": [visit(component) for component in (part.flat_values, *part.nested_row_splits)]}
        if part is None:
            return None
        name = f"batch/{len(tensors)}"
        tensors[name] = tf.convert_to_tensor(part)
        return name

    return visit(batch), tensors


def rebuild_batch(structure: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Does the inverse of :func:`flatten_batch`, but returns all sequences as tuples."""
    if structure is None:
        return None
    if isinstance(structure, str):
        return tf.constant(arrays[structure])
    [(kind, parts)] = structure.items()
    if kind == "mapping":
        return {name: rebuild_batch(value, arrays) for name, value in parts.items()}
    values = tuple(rebuild_batch(value, arrays) for value in parts)
    if kind == "sparse":
        return tf.SparseTensor(*values)
    if kind == "ragged":
        return tf.RaggedTensor.from_nested_row_splits(values[0], values[1:])
    return values

"""Converts a batch to plain types and named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def flatten_batch(batch: Any) -> tuple[Any, dict[str, tf.Tensor]]:
    """Splits a batch into its structure and its tensors.

    Args:
      batch: Nested mappings, lists and tuples of tensors. None is a leaf without a tensor.

    Returns:
      The structure, in the plain types of JSON, with a name in place of each tensor; and the tensors by name.

    Example:
    >>> structure, tensors = flatten_batch(({"x": tf.constant([1.0])}, None))
    >>> structure, list(tensors)
    ({'tuple': [{'mapping': {'x': 'batch/0'}}, None]}, ['batch/0'])
    """
    tensors: dict[str, tf.Tensor] = {}

    def visit(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {"mapping": {name: visit(value) for name, value in part.items()}}
        if isinstance(part, list | tuple):
            return {"tuple": [visit(value) for value in part]}
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
    if "mapping" in structure:
        return {name: rebuild_batch(value, arrays) for name, value in structure["mapping"].items()}
    return tuple(rebuild_batch(value, arrays) for value in structure["tuple"])

"""Finds the variables that tasks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from ..keras_compat import get_variable_path
from .conflict import compute_task_gradients
from .variables import unwrap_variable


def find_shared_variables(model: Any, losses_fn: Callable[..., Mapping[str, Any]], *batch: Any) -> list[Any]:
    """Finds the trainable dense variables of a model for which at least two tasks have a gradient.

    Embedding tables are excluded: variables with a sparse gradient, and variables that Keras names ``embeddings``. The
      function
    traces the losses without computing them.

    Args:
      model: A built Keras model.
      losses_fn: See :class:`~.conflict.ConflictProbe`.
      *batch: The arguments of ``losses_fn``.
    """
    variables = list(model.trainable_variables)
    task_counts = [0] * len(variables)
    tables = {i for i, variable in enumerate(variables) if _get_short_name(variable) == "embeddings"}

    def trace(batch: tuple[Any, ...]) -> None:
        tensors = [unwrap_variable(variable) for variable in variables]
        for gradients in compute_task_gradients(lambda: losses_fn(*batch), tensors).values():
            for i, gradient in enumerate(gradients):
                task_counts[i] += gradient is not None
                if isinstance(gradient, tf.IndexedSlices):
                    tables.add(i)

    tf.function(trace, autograph=False).get_concrete_function(batch)
    return [variable for i, variable in enumerate(variables) if task_counts[i] >= 2 and i not in tables]


def _get_short_name(variable: Any) -> str:
    """Returns the last part of a variable's path."""
    return get_variable_path(variable).partition(":")[0].rpartition("/")[2]

"""Helpers for variables of Keras 2, Keras 3 and TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def unwrap_variable(variable: Any) -> Any:
    """Returns the TensorFlow variable inside a Keras 3 variable; any other object unchanged."""
    value = getattr(variable, "value", variable)
    return variable if callable(value) else value


def unwrap_variables(variables: Sequence[Any]) -> list[tf.Variable]:
    """Returns the TensorFlow variables inside a list of variables.

    Raises:
      ValueError: If the list is empty.
    """
    if not variables:
        raise ValueError("variables must hold at least one variable, got none")
    return [unwrap_variable(variable) for variable in variables]


def get_sum_dtype(variable: tf.Variable) -> tf.DType:
    """Returns float64 for a float64 variable, else float32, because sums of squares overflow in half precision."""
    return tf.float64 if variable.dtype == tf.float64 else tf.float32


def check_scalar(loss: Any, name: str) -> tf.Tensor:
    """Returns a loss as a tensor.

    Raises:
      ValueError: If it is not a scalar; the message begins with ``name``.
    """
    loss = tf.convert_to_tensor(loss)
    if loss.shape.rank != 0:
        raise ValueError(f"{name} must be a scalar, got shape {loss.shape}")
    return loss

"""Adagrad's accumulators, for the preconditioned sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..keras_compat import unwrap_optimizer
from .variables import unwrap_variable


def find_adagrad_accumulators(optimizer: Any, variables: Sequence[Any]) -> list[Any] | None:
    """Finds Adagrad's accumulators G for a list of variables.

    Supports Adagrad in Keras 2 and Keras 3, subclasses and optimizers with the same attributes, and loss-scaling
    optimizers around them.

    Args:
      optimizer: A Keras optimizer, built or not.
      variables: Variables of the model.

    Returns:
      The accumulators, in the order of ``variables``. None if the optimizer is not Adagrad, is not built, or lacks a
      variable.
    """
    optimizer = unwrap_optimizer(optimizer)
    accumulators = getattr(optimizer, "_accumulators", None)
    # FTRL has accumulators too, but a different preconditioner.
    if not accumulators or hasattr(optimizer, "_linears"):
        return None
    if hasattr(optimizer, "_index_dict"):
        indices, keys = optimizer._index_dict, [getattr(variable, "_unique_id", None) for variable in variables]
    else:
        trainable = getattr(optimizer, "_trainable_variables", ())
        indices = {id(unwrap_variable(variable)): i for i, variable in enumerate(trainable)}
        keys = [id(unwrap_variable(variable)) for variable in variables]
    if not all(key in indices and indices[key] < len(accumulators) for key in keys):
        return None
    matching = [accumulators[indices[key]] for key in keys]
    shapes_match = all(tuple(a.shape) == tuple(v.shape) for a, v in zip(matching, variables, strict=True))
    return matching if shapes_match else None

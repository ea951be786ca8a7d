"""Finds the optimizers that update a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def list_inner_optimizers(model: Any) -> list[Any]:
    """Lists the distinct optimizers that hold learning rates.

    These are the optimizers of ``compile``, which may be a list, and those in the model's attributes, such as the second
    optimizer of a GAN. Loss-scaling and composite optimizers are replaced by the optimizers inside.
    """
    attributes = [value for value in vars(model).values() if hasattr(value, "apply_gradients")]
    compiled = getattr(model, "optimizer", None)
    found = [inner for optimizer in [compiled, *attributes] for inner in _unwrap(optimizer)]
    return list({id(optimizer): optimizer for optimizer in found}.values())


def _unwrap(optimizer: Any) -> Iterator[Any]:
    if optimizer is None:
        return
    if isinstance(optimizer, list | tuple):
        inner = optimizer
    elif hasattr(optimizer, "inner_optimizer"):
        inner = [optimizer.inner_optimizer]
    else:
        # A composite optimizer, such as that of TensorFlow Recommenders.
        inner = getattr(optimizer, "optimizers", None) or ()
    if not inner:
        yield optimizer
    for each in inner:
        yield from _unwrap(each)

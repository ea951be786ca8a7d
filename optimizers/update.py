"""The second half of a step: what it adds to the weights and the accumulators."""

from __future__ import annotations

from typing import Any

from .reductions import Tensor
from .variable_spec import Operands, VariableSpec


def compute_changes(
    ops: Any, spec: VariableSpec, operands: Operands, sigma: Tensor, eta: Tensor, take_step: Tensor
) -> tuple[Tensor, Tensor]:
    """What one step adds to w and to the accumulator, in the dtype of the step.

    Neither can leave the range of numbers: the accumulator stays below ``largest_accumulator`` and w within plus and minus
    ``largest`` of :class:`~.adagrad_parameters.AdagradParameters`. Bounds that cannot be reached are not computed.

    Args:
      ops: A namespace with NumPy's names.
      spec: The variable.
      operands: w, g and the accumulator before the step.
      sigma: The factor of the rule: a scalar, or broadcastable to w.
      eta: The learning rate.
      take_step: Whether the step is taken at all; where it is False, both results are 0.
    """
    adagrad, (w, g, accumulator) = spec.adagrad, operands
    eta = ops.cast(eta, spec.dtype)
    g = ops.where(take_step, g, ops.zeros_like(g))
    # sigma is 0 where the gradient is not finite, and may be anything else.
    safe_sigma = ops.where(take_step, sigma, ops.zeros_like(sigma))
    accumulated = g * sigma if adagrad.clip_accumulator else None
    if spec.rule.order == "before":
        g = g * safe_sigma
    gain = ops.square(g if accumulated is None else accumulated)
    if not adagrad.squares_fit:
        gain = ops.minimum(gain, ops.maximum(adagrad.largest_accumulator - accumulator, 0.0))

    r = adagrad.direction(ops, w, g, accumulator if adagrad.delayed else accumulator + gain)
    is_bounded = spec.rule.never_grows and not adagrad.delayed and not adagrad.weight_decay
    change = eta * r if is_bounded else _clamp(ops, eta * _clamp(ops, r, adagrad.largest), adagrad.largest)
    if spec.rule.order == "after" and spec.clips:
        change = safe_sigma * change
        change = change if is_bounded else _clamp(ops, change, adagrad.largest)
    elif adagrad.weight_decay:
        change = ops.where(take_step, change, ops.zeros_like(change))
    # A weight that does not move stays where it is, even beyond the bound.
    stays = ops.where(change == 0, ops.zeros_like(change), _clamp(ops, w - change, adagrad.largest) - w)
    return stays, gain


def _clamp(ops: Any, x: Tensor, bound: float) -> Tensor:
    return ops.minimum(ops.maximum(x, -bound), bound)

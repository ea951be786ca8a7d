"""The second half of a step: the changes of the weights and the accumulators."""

from __future__ import annotations

from typing import Any, NamedTuple

from .reductions import Tensor
from .variable_spec import Operands, VariableSpec


class Decision(NamedTuple):
    """The result of the first half of a step, for one variable.

    Attributes:
      sigma: The factor that the variable's rule computed: a scalar, or broadcastable to w.
      eta: The learning rate.
      take_step: Whether the step is taken; False if it is skipped.
    """

    sigma: Tensor
    eta: Tensor
    take_step: Tensor


def compute_changes(ops: Any, spec: VariableSpec, operands: Operands, decision: Decision) -> tuple[Tensor, Tensor]:
    """Computes the changes of w and G in one step: ``-eta * sigma * r`` and ``g^2``, or 0 if the step is skipped.

    A rule with the order ``before`` scales g instead: ``g <- sigma * g``. Neither w nor G overflows: G stays below
    ``largest_accumulator``, and w between ``-largest`` and ``largest`` of
    :class:`~.adagrad_parameters.AdagradParameters`. The function omits the bounds that cannot be reached.

    Args:
      ops: A namespace with NumPy's names.
      spec: The variable.
      operands: w, g and G before the step.
      decision: sigma, eta and whether the step is taken.

    Returns:
      Both changes, in the dtype of the step and the shape of w.
    """
    adagrad, (w, g, accumulator) = spec.adagrad, operands
    take_step, eta = decision.take_step, ops.cast(decision.eta, spec.dtype)
    # In a skipped step, sigma and g may hold any value, even NaN.
    sigma = ops.where(take_step, decision.sigma, ops.zeros_like(decision.sigma))
    g = ops.where(take_step, g, ops.zeros_like(g))

    accumulated = g * sigma if spec.rule.order == "before" or adagrad.clip_accumulator else g
    if spec.rule.order == "before":
        g = accumulated
    change_of_accumulator = ops.square(accumulated)
    if not adagrad.squares_fit:
        headroom = ops.maximum(adagrad.largest_accumulator - accumulator, 0.0)
        change_of_accumulator = ops.minimum(change_of_accumulator, headroom)

    r = adagrad.direction(ops, w, g, accumulator if adagrad.is_delayed else accumulator + change_of_accumulator)
    is_bounded = spec.rule.never_grows and not adagrad.is_delayed and not adagrad.weight_decay
    step = eta * r if is_bounded else _clamp(ops, eta * _clamp(ops, r, adagrad.largest), adagrad.largest)
    if spec.clips and spec.rule.order == "after":
        step = sigma * step
        step = step if is_bounded else _clamp(ops, step, adagrad.largest)
    elif adagrad.weight_decay:
        step = ops.where(take_step, step, ops.zeros_like(step))
    # A step of 0 does not move a weight, even if the weight is beyond the bound.
    change_of_w = ops.where(step == 0, ops.zeros_like(step), _clamp(ops, w - step, adagrad.largest) - w)
    return change_of_w, change_of_accumulator


def _clamp(ops: Any, x: Tensor, bound: float) -> Tensor:
    return ops.minimum(ops.maximum(x, -bound), bound)

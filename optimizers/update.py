"""The second half of a step: what it adds to the weights and the accumulators."""

from __future__ import annotations

from typing import Any, NamedTuple

from .reductions import Tensor
from .variable_spec import Operands, VariableSpec


class Decision(NamedTuple):
    """What the first half of a step decided for one variable.

    Attributes:
      sigma: The factor of its rule: a scalar, or broadcastable to w.
      eta: The learning rate.
      take_step: Whether the step is taken at all.
    """

    sigma: Tensor
    eta: Tensor
    take_step: Tensor


def compute_changes(ops: Any, spec: VariableSpec, operands: Operands, decision: Decision) -> tuple[Tensor, Tensor]:
    """What one step adds to w and to G: ``-eta * sigma * r`` and ``g^2``, or 0 where no step is taken.

    A rule with the order ``before`` scales g instead: ``g <- sigma * g``. Neither result leaves the range of numbers: G stays
    below ``largest_accumulator`` and w within plus and minus ``largest`` of
    :class:`~.adagrad_parameters.AdagradParameters`. Bounds that cannot be reached are not computed.

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
    # Where no step is taken, both may be anything.
    sigma = ops.where(take_step, decision.sigma, ops.zeros_like(decision.sigma))
    g = ops.where(take_step, g, ops.zeros_like(g))

    accumulated = g * sigma if spec.rule.order == "before" or adagrad.clip_accumulator else g
    if spec.rule.order == "before":
        g = accumulated
    change_of_accumulator = ops.square(accumulated)
    if not adagrad.squares_fit:
        room = ops.maximum(adagrad.largest_accumulator - accumulator, 0.0)
        change_of_accumulator = ops.minimum(change_of_accumulator, room)

    r = adagrad.direction(ops, w, g, accumulator if adagrad.delayed else accumulator + change_of_accumulator)
    is_bounded = spec.rule.never_grows and not adagrad.delayed and not adagrad.weight_decay
    step = eta * r if is_bounded else _clamp(ops, eta * _clamp(ops, r, adagrad.largest), adagrad.largest)
    if spec.clips and spec.rule.order == "after":
        step = sigma * step
        step = step if is_bounded else _clamp(ops, step, adagrad.largest)
    elif adagrad.weight_decay:
        step = ops.where(take_step, step, ops.zeros_like(step))
    # A weight that does not move stays where it is, even beyond the bound.
    change_of_w = ops.where(step == 0, ops.zeros_like(step), _clamp(ops, w - step, adagrad.largest) - w)
    return change_of_w, change_of_accumulator


def _clamp(ops: Any, x: Tensor, bound: float) -> Tensor:
    return ops.minimum(ops.maximum(x, -bound), bound)

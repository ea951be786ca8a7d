"""AdaGC, gradient clipping against a moving average of the norms."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates, is_real
from ..reductions import Quantity, Sum, Tensor
from ..rule import Order, ReductionValues, Rule, Threshold, ratio_up_to_one

NO_GAMMA = 1e30
"""gamma of a variable whose gradients have all been 0 so far."""


@dataclasses.dataclass(frozen=True)
class AdaGC(Rule):
    """AdaGC: ``sigma = min(1, lambda_rel * gamma / ||g||)``.

    gamma is a moving average of the clipped norms ``||sigma * g||``.

    In the first ``start`` steps, the rule clips all gradients together: it scales them so that their common norm is at
      most
    lambda_abs. Meanwhile, gamma is the smallest clipped norm so far. A gradient of zeros leaves gamma unchanged.

    Reference: Wang et al., *AdaGC: Improving Training Stability for Large Language Model Pretraining*, 2025.

    Attributes:
      relative: lambda_rel, the largest norm in units of gamma. Default 1.05.
      absolute: lambda_abs, the largest norm of all gradients together during the start. Default 1.
      beta: Weight of the past in the moving average, from 0 to below 1. Default 0.98.
      start: Number of steps in this start phase. Default 100.
      order: ``before`` the accumulator, as published, or ``after`` it. Default ``before``.
    """

    relative: Threshold = 1.05
    absolute: Threshold = 1.0
    beta: float = 0.98
    start: int = 100
    order: Order = "before"

    name: ClassVar[str] = "adagc"
    formula: ClassVar[str] = "min(1, λ_rel γ / ‖g‖), γ a moving average of ‖σ g‖"  # noqa: RUF001
    reference: ClassVar[str] = "Wang et al. 2025"
    orders: ClassVar[tuple[Order, ...]] = ("before", "after")
    never_grows: ClassVar[bool] = True
    initial_state: ClassVar[float | None] = NO_GAMMA

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_real(self.beta) or not 0 <= float(self.beta) < 1:
            raise ValueError(f"adagc: beta must be a number from 0 to below 1, got {self.beta!r}")
        if isinstance(self.start, bool) or not isinstance(self.start, int) or self.start < 1:
            raise ValueError(f"adagc: start must be an integer of 1 or more, got {self.start!r}")

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``||g||^2``."""
        return {"squared_gradient": Sum(ops.square(x.g))}

    def sigma_and_state(
        self, ops: Any, values: ReductionValues, totals: ReductionValues, state: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``min(1, lambda_rel * gamma / ||g||)`` for each variable, and gamma after the step."""
        norm, global_norm = (ops.sqrt(sums["squared_gradient"]) for sums in (values, totals))
        gamma, is_start = state, step < self.start
        global_sigma = ratio_up_to_one(ops, self.absolute, global_norm) * ops.ones_like(norm)
        sigma = ops.where(is_start, global_sigma, ratio_up_to_one(ops, self.relative * gamma, norm))
        clipped = sigma * norm
        average = self.beta * gamma + (1 - self.beta) * clipped
        # If a variable had no gradient during the start phase, its average begins with its first gradient.
        average = ops.where(gamma < NO_GAMMA, average, clipped)
        gamma = ops.where(is_start, ops.minimum(gamma, clipped), average)
        return sigma, ops.where(norm > 0, gamma, state)

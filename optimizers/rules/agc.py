"""AGC, adaptive gradient clipping."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates
from ..reductions import Quantity, Sum, Tensor
from ..rule import Granularity, Order, ReductionValues, Rule, Threshold, ratio_up_to_one

# Smaller norms of the weights are raised to this value, so that a variable of zeros can move (section 4.1 of the
# reference).
_SMALLEST_NORM = 1e-3


@dataclasses.dataclass(frozen=True)
class AdaptiveGradientClipping(Rule):
    """AGC: ``sigma = min(1, lambda * max(||w||, 0.001) / ||g||)``.

    Reference: Brock et al., *High-Performance Large-Scale Image Recognition Without Normalization*, ICML 2021.

    Attributes:
      threshold: lambda, the largest ratio of the gradient's norm to the weights' norm. Default 0.01.
      granularity: ``variable``: one sigma for the variable. ``unit``: one sigma for each output unit (index of the last
        axis), as published; a variable with one axis is one unit. Default ``variable``, as in the comparison by Tang et
        al. 2023.
      order: ``before`` the accumulator, as published, or ``after`` it. Default ``before``.
    """

    threshold: Threshold = 0.01
    granularity: Granularity = "variable"
    order: Order = "before"

    name: ClassVar[str] = "agc"
    formula: ClassVar[str] = "min(1, λ max(‖w‖, 0.001) / ‖g‖)"
    reference: ClassVar[str] = "Brock et al. 2021"
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable", "unit")
    orders: ClassVar[tuple[Order, ...]] = ("before", "after")
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``||g||^2`` and ``||w||^2``."""
        return {"squared_gradient": Sum(ops.square(x.g)), "squared_weight": Sum(ops.square(x.w))}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``min(1, lambda * max(||w||, 0.001) / ||g||)``."""
        norm_w = ops.maximum(ops.sqrt(values["squared_weight"]), _SMALLEST_NORM)
        return ratio_up_to_one(ops, self.threshold * norm_w, ops.sqrt(values["squared_gradient"]))

"""GC, gradient clipping by norm."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates
from ..reductions import Quantity, Sum, Tensor
from ..rule import Granularity, Order, ReductionValues, Rule, Threshold, ratio_up_to_one


@dataclasses.dataclass(frozen=True)
class GradientClipping(Rule):
    """GC: ``sigma = min(1, lambda / ||g||)``.

    Reference: Pascanu et al., *On the difficulty of training recurrent neural networks*, ICML 2013.

    Attributes:
      threshold: lambda, the largest norm of a gradient. Default 1.
      granularity: ``variable``: each variable has its own norm and sigma. ``global``: one norm over all variables with
        this rule. Default ``variable``, as in the comparison by Tang et al. 2023.
      order: ``before`` the accumulator, as published, or ``after`` it. Default ``before``.
    """

    threshold: Threshold = 1.0
    granularity: Granularity = "variable"
    order: Order = "before"

    name: ClassVar[str] = "gc"
    formula: ClassVar[str] = "min(1, λ / ‖g‖)"
    reference: ClassVar[str] = "Pascanu et al. 2013"
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable", "global")
    orders: ClassVar[tuple[Order, ...]] = ("before", "after")
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``||g||^2``."""
        return {"squared_gradient": Sum(ops.square(x.g))}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``min(1, lambda / ||g||)``."""
        return ratio_up_to_one(ops, self.threshold, ops.sqrt(values["squared_gradient"]))

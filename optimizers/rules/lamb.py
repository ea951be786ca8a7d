"""The layer-wise factor of LAMB, on Adagrad."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates
from ..reductions import Quantity, Sum, Tensor
from ..rule import ReductionValues, Rule

# Keeps sigma finite.
_LARGEST_FACTOR = 1e30


@dataclasses.dataclass(frozen=True)
class Lamb(Rule):
    """LAMB: ``sigma = ||w|| / ||r||``, which may exceed 1; 1 where either norm is 0.

    Reference: You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, ICLR 2020.
    """

    name: ClassVar[str] = "lamb"
    formula: ClassVar[str] = "‖w‖ / ‖r‖"
    reference: ClassVar[str] = "You et al. 2020"

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``||r||^2`` and ``||w||^2``."""
        return {"squared_direction": Sum(x.r_squared), "squared_weight": Sum(ops.square(x.w))}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``||w|| / ||r||``."""
        norm_w, norm_r = ops.sqrt(values["squared_weight"]), ops.sqrt(values["squared_direction"])
        one = ops.ones_like(norm_r)
        both_positive = (norm_w > 0) & (norm_r > 0)
        ratio = ops.minimum(norm_w / ops.where(both_positive, norm_r, one), _LARGEST_FACTOR)
        return ops.where(both_positive, ratio, one)

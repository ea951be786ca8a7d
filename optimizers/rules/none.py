"""No clipping: plain Adagrad."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates
from ..reductions import Max, Quantity, Tensor
from ..rule import ReductionValues, Rule


@dataclasses.dataclass(frozen=True)
class NoClipping(Rule):
    """Plain Adagrad: ``sigma = 1``.

    Reference: Duchi et al., *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, JMLR 2011.
    """

    name: ClassVar[str] = "none"
    formula: ClassVar[str] = "1"
    reference: ClassVar[str] = "Duchi et al. 2011"
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """A maximum of zeros, which carries only the mark of a bad gradient."""
        return {"is_bad": Max(ops.zeros_like(x.g))}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``1``."""
        return ops.ones_like(values["is_bad"])

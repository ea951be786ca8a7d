"""Clippy, the paper's rule: it limits how far each weight may move, in proportion to the weight's size."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import FORBIDDEN, Coordinates, is_real
from ..reductions import Quantity, Tensor
from ..rule import Granularity, ReductionValues, Rule, Threshold


@dataclasses.dataclass(frozen=True)
class Clippy(Rule):
    """Clippy: ``sigma = min(1, min_i (lambda_rel * |w_i| + lambda_abs) / (eta * |r_i|))``.

    Reference: Tang et al., *Improving Training Stability for Multitask Ranking Models in Recommender Systems*, KDD
      2023,
    Algorithm 1, https://arxiv.org/abs/2302.09178.

    Attributes:
      relative: lambda_rel; lets large weights move in proportion. Default 0.5.
      absolute: lambda_abs; lets weights near 0 move at all. Default 0.01.
      accumulator_relative: Raises each coordinate's limit by this multiple of ``1 / sqrt(G + epsilon)``; not in the
        paper. Default 0.
      granularity: ``variable``: one sigma for the variable. ``row``: one sigma for each index of the first axis, so
        that one row of an embedding table does not slow the others. Default ``variable``.
    """

    relative: Threshold = 0.5
    absolute: Threshold = 1e-2
    accumulator_relative: Threshold = 0.0
    granularity: Granularity = "variable"

    name: ClassVar[str] = "clippy"
    formula: ClassVar[str] = "min(1, minᵢ (λ_rel |wᵢ| + λ_abs) / (η |rᵢ|))"
    reference: ClassVar[str] = "Tang et al. 2023"
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable", "row")
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``max_i |r_i| / (lambda_rel * |w_i| + lambda_abs)``."""
        allowed = self.relative * ops.abs(x.w) + self.absolute
        if is_real(self.accumulator_relative) and self.accumulator_relative == 0:
            return {"largest_ratio": x.largest_ratio(allowed, at_least=self.absolute)}
        return {"largest_ratio": x.largest_ratio(allowed + self.accumulator_relative / x.root)}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``min(1, 1 / (eta * max_i ratio_i))``; exactly 0 if a coordinate would move although its limit is 0."""
        ratio = eta * values["largest_ratio"]
        # The quotient alone would not do: TensorFlow's vectorized kernel computes 0.99999994 for 1 / 1.
        sigma = ops.where(ratio > 1.0, 1.0 / ops.maximum(ratio, 1.0), ops.ones_like(ratio))
        return ops.where(values["largest_ratio"] >= 0.99 * FORBIDDEN, ops.zeros_like(sigma), sigma)

"""Adagrad's side of a step: the constants of one variable, and the direction r that they give."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .reductions import Tensor


@dataclasses.dataclass(frozen=True)
class AdagradParameters:
    """What Adagrad's formulas depend on, beside w, g, G and the learning rate.

    Attributes:
      epsilon: Stands under the root beside the accumulator.
      weight_decay: Each step also takes ``eta * weight_decay * w``, as part of the step that a rule bounds.
      delayed: r is formed from the accumulator of the steps before.
      clip_accumulator: The accumulator takes ``(sigma * g)^2`` although sigma scales the step; only where ``delayed``.
      gradient_limit: A coordinate of g beyond it counts as not finite.
      tiny: Smallest normal number of the dtype in which the step is computed.
      largest: Bound of the weights, a little below the variable's largest number.
      largest_accumulator: Bound of the accumulators, a little below their largest number.
    """

    epsilon: float
    weight_decay: float
    delayed: bool
    clip_accumulator: bool
    gradient_limit: float
    tiny: float
    largest: float
    largest_accumulator: float

    def accumulate(self, ops: Any, g: Tensor, accumulator: Tensor) -> Tensor:
        """G, the accumulator that r is formed from: ``G + g^2``, or the accumulator before the step where ``delayed``."""
        if self.delayed:
            return accumulator
        total = accumulator + ops.square(g)
        return total if self.squares_fit else ops.minimum(total, self.largest_accumulator)

    def root(self, ops: Any, accumulator: Tensor) -> Tensor:
        """``sqrt(G + epsilon)``, above 0 also where nothing has been accumulated yet."""
        # Not rsqrt, which XLA's CPU backend also makes of a plain quotient by a root: it takes six times as long.
        return ops.maximum(ops.sqrt(accumulator + self.epsilon), math.sqrt(self.tiny))

    def direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """r, the step at the learning rate 1: ``g / sqrt(G + epsilon) + weight_decay * w``."""
        r = g / self.root(ops, accumulator)
        return r + self.weight_decay * w if self.weight_decay else r

    def squared_direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """The square of r, without a root for each coordinate where none is needed."""
        if self.weight_decay or self.epsilon < 1e-30 or not self.squares_fit:
            return ops.square(self.direction(ops, w, g, accumulator))
        return ops.square(g) / (accumulator + self.epsilon)

    @property
    def squares_fit(self) -> bool:
        """Whether the square of the largest gradient is less than half a unit in the last place of the largest accumulator."""
        return self.gradient_limit * self.gradient_limit <= 2.0**-25 * self.largest_accumulator

"""The constants in Adagrad's formulas for one variable, and the direction r computed with them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .reductions import Tensor


@dataclasses.dataclass(frozen=True)
class AdagradParameters:
    """The constants in Adagrad's formulas for one variable.

    Attributes:
      epsilon: Added to the accumulator under the root.
      weight_decay: Factor of w in the direction: the step also subtracts ``eta * weight_decay * w``. A rule bounds both
        together.
      is_delayed: Whether r is computed from the accumulator of the previous steps.
      clip_accumulator: Whether the accumulator takes ``(sigma * g)^2`` although sigma scales the step; only with
        ``is_delayed``.
      gradient_limit: A gradient with a larger coordinate counts as not finite.
      tiny: Smallest normal number of the dtype in which the step is computed.
      largest: Largest absolute value of a weight, a little below the largest number of the variable's dtype.
      largest_accumulator: Largest value of an accumulator, a little below the largest number of its dtype.
    """

    epsilon: float
    weight_decay: float
    is_delayed: bool
    clip_accumulator: bool
    gradient_limit: float
    tiny: float
    largest: float
    largest_accumulator: float

    def accumulate(self, ops: Any, g: Tensor, accumulator: Tensor) -> Tensor:
        """Computes the accumulator for r: ``G + g^2``, or with ``is_delayed`` the accumulator before the step."""
        if self.is_delayed:
            return accumulator
        total = accumulator + ops.square(g)
        return total if self.squares_fit else ops.minimum(total, self.largest_accumulator)

    def root(self, ops: Any, accumulator: Tensor) -> Tensor:
        """Computes ``sqrt(G + epsilon)``, which is above 0 even if G and epsilon are 0."""
        # The maximum also keeps XLA's CPU backend from turning a division by a root into rsqrt, which takes six times
        # as long.
        return ops.maximum(ops.sqrt(accumulator + self.epsilon), math.sqrt(self.tiny))

    def direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """Computes r, the step at a learning rate of 1: ``g / sqrt(G + epsilon) + weight_decay * w``."""
        r = g / self.root(ops, accumulator)
        return r + self.weight_decay * w if self.weight_decay else r

    def squared_direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """Computes the square of r, without a root per coordinate if possible."""
        if self.weight_decay or self.epsilon < 1e-30 or not self.squares_fit:
            return ops.square(self.direction(ops, w, g, accumulator))
        return ops.square(g) / (accumulator + self.epsilon)

    @property
    def squares_fit(self) -> bool:
        """Whether G needs no bound, because adding the largest square to ``largest_accumulator`` does not change it."""
        return self.gradient_limit * self.gradient_limit <= 2.0**-25 * self.largest_accumulator

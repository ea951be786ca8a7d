"""The coordinates of a variable, as the rules read them: w, g, G and r in the notation of the paper."""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any

from .adagrad_parameters import AdagradParameters
from .reductions import Max, MaxOfRoots, Tensor

FORBIDDEN = 1e37
"""``|r_i| / allowed_i`` of a coordinate that moves and must not: larger than any other ratio, and finite, since infinity marks a
bad gradient."""

# No coordinate is allowed more than this at once, so that its square does not overflow.
_LARGEST_ALLOWED = 1e18


class Coordinates:
    """Arrays of one shape; G and r are computed when a rule first reads them.

    Args:
      ops: A namespace with NumPy's names.
      parameters: Adagrad's side.
      w: Weights, attribute ``w``.
      g: Gradient, attribute ``g``.
      accumulator: The accumulator before the step.
    """

    def __init__(self, ops: Any, parameters: AdagradParameters, w: Tensor, g: Tensor, accumulator: Tensor):
        self._ops = ops
        self._parameters = parameters
        self.w = w
        self.g = g
        self._accumulator = accumulator

    @functools.cached_property
    def G(self) -> Tensor:  # noqa: N802 - the paper's notation
        """The accumulator that r is formed from; it usually contains g."""
        return self._parameters.accumulate(self._ops, self.g, self._accumulator)

    @functools.cached_property
    def r(self) -> Tensor:
        """The step at the learning rate 1: ``g / sqrt(G + epsilon)``, and the weight decay."""
        return self._parameters.direction(self._ops, self.w, self.g, self.G)

    @functools.cached_property
    def r_squared(self) -> Tensor:
        """``r^2``, at less cost than the square of :attr:`r`."""
        return self._parameters.squared_direction(self._ops, self.w, self.g, self.G)

    @functools.cached_property
    def root(self) -> Tensor:
        """``sqrt(G + epsilon)``."""
        return self._parameters.root(self._ops, self.G)

    def largest_ratio(self, allowed: Tensor, at_least: Any = None) -> Max | MaxOfRoots:
        """``max_i |r_i| / allowed_i``: how far the coordinates go at the learning rate 1, in units of what they may.

        A coordinate that does not move counts as 0, even where nothing is allowed; one that moves where nothing is allowed counts
        as :data:`FORBIDDEN`.

        Args:
          allowed: What each coordinate may move, 0 or more.
          at_least: A bound below ``allowed``, if one is known. Where it is a number that is not too small, ratios are compared by
            their squares, which spares each coordinate a root and a division.
        """
        ops, parameters = self._ops, self._parameters
        if self._may_square(at_least):
            # A weight of more than 1e18 may move less than it might, and no square overflows.
            allowed = ops.square(ops.minimum(allowed, _LARGEST_ALLOWED))
            return MaxOfRoots(ops.square(self.g) / ((self.G + parameters.epsilon) * allowed))
        distance = ops.abs(self.r)
        ratio = ops.minimum(distance / allowed, FORBIDDEN)
        return Max(ops.where(distance == 0, ops.zeros_like(distance), ratio))

    def mark_bad_gradients(self, values: Tensor) -> Tensor:
        """``values``, but infinite where g is NaN, infinite or beyond the limit, so that every reduction shows it."""
        # TensorFlow rewrites `not (a <= b)` to `a > b`. The two differ for NaN.
        return self._ops.where(self._ops.abs(self.g) <= self._parameters.gradient_limit, values, math.inf)

    def _may_square(self, at_least: Any) -> bool:
        parameters = self._parameters
        return (
            is_real(at_least)
            # This product is the least that is divided by.
            and parameters.epsilon * float(at_least) ** 2 >= 1e-30
            and parameters.squares_fit
            and not parameters.delayed
            and not parameters.weight_decay
        )


def is_real(value: Any) -> bool:
    """Whether a value is a number, Python's or NumPy's, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

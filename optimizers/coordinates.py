"""The arrays that a rule reads: w, g, G and r, in the paper's notation."""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any

from .adagrad_parameters import AdagradParameters
from .reductions import Max, MaxOfRoots, Tensor

FORBIDDEN = 1e37
"""The ratio ``|r_i| / allowed_i`` if r_i is not 0 but allowed_i is. It exceeds every other ratio. It is finite, because
infinity marks a bad gradient."""

# A larger allowed step is reduced to this value, so that its square does not overflow.
_LARGEST_ALLOWED = 1e18


class Coordinates:
    """Arrays of the same shape. G and r are computed when a rule first reads them.

    Args:
      ops: A namespace with NumPy's names.
      parameters: The constants in Adagrad's formulas.
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
        """The accumulator from which r is computed; unless updates are delayed, it includes ``g^2``."""
        return self._parameters.accumulate(self._ops, self.g, self._accumulator)

    @functools.cached_property
    def r(self) -> Tensor:
        """The step at a learning rate of 1: ``g / sqrt(G + epsilon)``, plus the weight decay."""
        return self._parameters.direction(self._ops, self.w, self.g, self.G)

    @functools.cached_property
    def r_squared(self) -> Tensor:
        """``r^2``, computed faster than by squaring :attr:`r`."""
        return self._parameters.squared_direction(self._ops, self.w, self.g, self.G)

    @functools.cached_property
    def root(self) -> Tensor:
        """``sqrt(G + epsilon)``."""
        return self._parameters.root(self._ops, self.G)

    def largest_ratio(self, allowed: Tensor, at_least: Any = None) -> Max | MaxOfRoots:
        """Returns ``max_i |r_i| / allowed_i``: each coordinate's step at a learning rate of 1, relative to its limit.

        If r_i is 0, the ratio is 0, even if the limit is 0 too. If r_i is not 0 and the limit is 0, the ratio is
        :data:`FORBIDDEN`.

        Args:
          allowed: The limit of each coordinate's step, 0 or more.
          at_least: A lower bound of ``allowed``, or None. If it is a number and not too small, the method compares the
            squares of the ratios, which saves a root and a division per coordinate.
        """
        ops, parameters = self._ops, self._parameters
        if self._may_square(at_least):
            # This lowers the limit of weights beyond 1e18, and no square overflows.
            allowed = ops.square(ops.minimum(allowed, _LARGEST_ALLOWED))
            return MaxOfRoots(ops.square(self.g) / ((self.G + parameters.epsilon) * allowed))
        distance = ops.abs(self.r)
        ratio = ops.minimum(distance / allowed, FORBIDDEN)
        return Max(ops.where(distance == 0, ops.zeros_like(distance), ratio))

    def mark_bad_gradients(self, values: Tensor) -> Tensor:
        """Returns ``values`` with infinity where g is NaN, infinite or beyond the limit; every reduction becomes infinite."""
        # TensorFlow rewrites `not (a <= b)` to `a > b`. The two differ for NaN.
        return self._ops.where(self._ops.abs(self.g) <= self._parameters.gradient_limit, values, math.inf)

    def _may_square(self, at_least: Any) -> bool:
        parameters = self._parameters
        return (
            is_real(at_least)
            # The smallest possible divisor.
            and parameters.epsilon * float(at_least) ** 2 >= 1e-30
            and parameters.squares_fit
            and not parameters.is_delayed
            and not parameters.weight_decay
        )


def is_real(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy, and not a Boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

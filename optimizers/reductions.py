"""Reductions of a quantity over the coordinates of a variable.

A rule reads only reductions, never a whole variable. The same rule therefore works on dense gradients, on the rows of
an embedding table that a sparse gradient touches, on a sharded variable and on all variables together, in one pass over
memory:

* :class:`Sum`: ``sum_i x_i``, for norms;
* :class:`Mean`: ``sum_i x_i / n``;
* :class:`Max`: ``max_i x_i``, where every x_i is 0 or more, for rules that bound every coordinate.

Each reduction starts with one number per coordinate. ``reduce`` reduces over the coordinates that share a factor,
``join`` over shards or variables, and ``value`` returns the result. ``ops`` is a namespace with NumPy's names:
``keras.ops``, or :class:`.tensorflow_ops.Ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

Tensor: TypeAlias = Any
Axis: TypeAlias = "tuple[int, ...] | None"
"""Axes to reduce over, which remain with length 1; None reduces all axes to a scalar."""


class Sum(NamedTuple):
    """The sum over the coordinates."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Sum:
        """Sums over some axes."""
        return Sum(ops.sum(self.values, axis=axis, keepdims=axis is not None))

    def merge(self, ops: Any, other: Sum) -> Sum:
        """Adds another block of coordinates, element by element."""
        return Sum(ops.add(self.values, other.values))

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Sum:
        """Sums over several shards or variables."""
        return Sum(ops.sum(ops.stack([part.values for part in parts]), axis=0))

    def value(self, ops: Any) -> Tensor:
        """Returns the number that the rule receives."""
        return self.values


class Mean(NamedTuple):
    """The mean over the coordinates; 0 over no coordinates.

    Attributes:
      values: Sums of the quantity.
      count: Number of coordinates in each sum.
    """

    values: Tensor
    count: Tensor = 1.0

    def reduce(self, ops: Any, axis: Axis) -> Mean:
        """Averages over some axes."""
        total = ops.sum(self.values, axis=axis, keepdims=axis is not None)
        coordinates, results = (ops.cast(ops.size(x), total.dtype) for x in (self.values, total))
        return Mean(total, self.count * coordinates / ops.maximum(results, 1.0))

    def merge(self, ops: Any, other: Mean) -> Mean:
        """Takes another block of coordinates into the mean, element by element."""
        return Mean(ops.add(self.values, other.values), self.count + other.count)

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Mean:
        """Averages over the coordinates of several shards or variables."""
        return Mean(*(ops.sum(ops.stack(list(numbers)), axis=0) for numbers in zip(*parts, strict=True)))

    def value(self, ops: Any) -> Tensor:
        """Returns the number that the rule receives."""
        return self.values / ops.maximum(self.count, 1.0)


class Max(NamedTuple):
    """The maximum over the coordinates, which must be 0 or more; 0 over no coordinates."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Max:
        """Takes the maximum over some axes."""
        # Over no rows, TensorFlow's maximum is minus infinity, and NumPy's raises without an initial value.
        return Max(ops.max(self.values, axis=axis, keepdims=axis is not None, initial=0.0))

    def merge(self, ops: Any, other: Max) -> Max:
        """Takes the maximum with another block of coordinates, element by element."""
        return Max(ops.maximum(self.values, other.values))

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Max:
        """Takes the maximum over several shards or variables."""
        return Max(ops.max(ops.stack([part.values for part in parts]), axis=0))

    def value(self, ops: Any) -> Tensor:
        """Returns the number that the rule receives."""
        return self.values


class MaxOfRoots(NamedTuple):
    """The maximum of square roots. It takes one root, of the largest square, instead of one root per coordinate."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Max:
        """Takes the maximum over some axes."""
        return Max(ops.sqrt(Max(self.values).reduce(ops, axis).values))

    def merge(self, ops: Any, other: MaxOfRoots) -> MaxOfRoots:
        """Takes the maximum with another block of coordinates, element by element."""
        return MaxOfRoots(ops.maximum(self.values, other.values))


Reduction: TypeAlias = "Sum | Mean | Max"
Quantity: TypeAlias = "Reduction | MaxOfRoots"
"""One number per coordinate, and how to reduce them."""

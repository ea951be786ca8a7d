"""Reductions of a quantity over the coordinates of a variable.

A rule sees a variable through reductions only. That is what lets it work on dense gradients, on the touched rows of an embedding
table, on a variable in shards and on all variables together, in one pass over memory:

* :class:`Sum`: ``sum_i x_i``, for norms;
* :class:`Mean`: ``sum_i x_i / n``;
* :class:`Max`: ``max_i x_i`` of numbers of 0 or more, for rules that bound every coordinate.

Each starts with one number for each coordinate. :meth:`reduce` takes the reduction over the coordinates that share a factor,
:meth:`join` takes it over shards or variables, and :meth:`value` is the result. ``ops`` is a namespace with NumPy's names:
``keras.ops``, or :class:`.tensorflow_ops.Ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

Tensor: TypeAlias = Any
Axis: TypeAlias = "tuple[int, ...] | None"
"""Axes to reduce over, which keep a length of 1; None for all axes, to a scalar."""


class Sum(NamedTuple):
    """The sum over the coordinates."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Sum:
        """The sum over some axes."""
        return Sum(ops.sum(self.values, axis=axis, keepdims=axis is not None))

    def merge(self, ops: Any, other: Sum) -> Sum:
        """The element-wise sum with another block of coordinates."""
        return Sum(ops.add(self.values, other.values))

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Sum:
        """The sum over several shards or variables."""
        return Sum(ops.sum(ops.stack([part.values for part in parts]), axis=0))

    def value(self, ops: Any) -> Tensor:
        """The number that the rule receives."""
        return self.values


class Mean(NamedTuple):
    """The mean over the coordinates; 0 where there are none.

    Attributes:
      values: Sums of the quantity.
      count: Coordinates in each of these sums.
    """

    values: Tensor
    count: Tensor = 1.0

    def reduce(self, ops: Any, axis: Axis) -> Mean:
        """The mean over some axes."""
        total = ops.sum(self.values, axis=axis, keepdims=axis is not None)
        coordinates, results = (ops.cast(ops.size(x), total.dtype) for x in (self.values, total))
        return Mean(total, self.count * coordinates / ops.maximum(results, 1.0))

    def merge(self, ops: Any, other: Mean) -> Mean:
        """The element-wise mean with another block of coordinates."""
        return Mean(ops.add(self.values, other.values), self.count + other.count)

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Mean:
        """The mean over several shards or variables."""
        return Mean(*(ops.sum(ops.stack(list(numbers)), axis=0) for numbers in zip(*parts, strict=True)))

    def value(self, ops: Any) -> Tensor:
        """The number that the rule receives."""
        return self.values / ops.maximum(self.count, 1.0)


class Max(NamedTuple):
    """The maximum over the coordinates, of numbers of 0 or more; 0 where there are none."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Max:
        """The maximum over some axes."""
        # Over no rows, TensorFlow's maximum is minus infinity, and NumPy's raises without an initial value.
        return Max(ops.max(self.values, axis=axis, keepdims=axis is not None, initial=0.0))

    def merge(self, ops: Any, other: Max) -> Max:
        """The element-wise maximum with another block of coordinates."""
        return Max(ops.maximum(self.values, other.values))

    @staticmethod
    def join(ops: Any, parts: Sequence[Any]) -> Max:
        """The maximum over several shards or variables."""
        return Max(ops.max(ops.stack([part.values for part in parts]), axis=0))

    def value(self, ops: Any) -> Tensor:
        """The number that the rule receives."""
        return self.values


class MaxOfRoots(NamedTuple):
    """The maximum of square roots: the root is taken once, of the largest square, and not for each coordinate."""

    values: Tensor

    def reduce(self, ops: Any, axis: Axis) -> Max:
        """The maximum over some axes."""
        return Max(ops.sqrt(Max(self.values).reduce(ops, axis).values))

    def merge(self, ops: Any, other: MaxOfRoots) -> MaxOfRoots:
        """The element-wise maximum with another block of coordinates."""
        return MaxOfRoots(ops.maximum(self.values, other.values))


Reduction: TypeAlias = "Sum | Mean | Max"
Quantity: TypeAlias = "Reduction | MaxOfRoots"
"""A quantity of each coordinate, and how it is reduced."""

"""Why a step was shortened: what is kept of each variable between two readings.

Everything is measured inside the step, from the weights and accumulators before it, and kept in two small variables for
the whole optimizer, so that nothing between two readings is missed and nothing is read back to Python meanwhile.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import clipping
from .clipping import Clippy, Tensor
from .parts import Part, Touched, folded

# Columns of the numbers that are kept for each variable …
_FACTOR, _SMALLEST, _GRADIENT, _UPDATE, _PARAMETER, _AT = range(6)
# … of which the last ones belong to the coordinate that bound when the factor was smallest …
_COORDINATE = ("weight", "gradient", "accumulator", "step")
NUMBERS = _AT + len(_COORDINATE)
# … and of the integers.
_CLIPPED, _WHEN, _ROW, _COLUMN = range(4)
INTEGERS = 4


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """The coordinate that bound a step most tightly, before that step.

    Attributes:
      iteration: The optimizer's step, counted from 0.
      index: Its place in the variable; the first number is the row of an embedding table.
      weight: w.
      gradient: g.
      accumulator: G.
      step: The step that Adagrad proposed, ``eta * r``; the factor times this was taken.
    """

    iteration: int
    index: tuple[int, ...]
    weight: float
    gradient: float
    accumulator: float
    step: float


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What clipping did to one variable since the last reading; norms are Euclidean.

    Attributes:
      rule: Name of the rule that holds for it.
      factor: sigma of the last step; the smallest of its rows or units, where each has its own.
      smallest_factor: The smallest sigma; 1 when no step was shortened.
      clipped_steps: Steps with a sigma below 1.
      gradient_norm: The largest norm of the gradient, as it came to the optimizer.
      update_norm: The largest norm of a step that was taken.
      parameter_norm: Norm of the weights before the last step. Of a table with sparse gradients, the gradients, updates and
        weights of the touched rows count.
      bound_by: The coordinate that bound when the factor was smallest; None when no step was shortened or when the rule
        looks at norms.
    """

    rule: str
    factor: float
    smallest_factor: float
    clipped_steps: int
    gradient_norm: float
    update_norm: float
    parameter_norm: float
    bound_by: Coordinate | None


def observe(
    ops: Any,
    parts: Sequence[Part],
    touched: Sequence[Touched],
    sigmas: Sequence[Tensor],
    measured: Sequence[Mapping[str, Tensor]],
    eta: Tensor,
) -> list[Tensor]:
    """The sums of the squares of each part's gradient, update and weights in one step, ``[3]``.

    Args:
      ops: The namespace, see :mod:`.parts`.
      parts: The variables.
      touched: What their gradients touch, before the step.
      sigmas: Their factors, scalars or broadcastable to the part.
      measured: What :func:`.parts.measure` found.
      eta: The learning rate.
    """
    seen = []
    for part, values, sigma, measures in zip(parts, touched, sigmas, measured, strict=True):
        sums = (measures["gradient"], _update(ops, part, values, sigma, measures, eta), measures["parameter"])
        seen.append(ops.stack([ops.sum(each) for each in sums]))
    return seen


def _update(
    ops: Any, part: Part, values: Touched, sigma: Tensor, measures: Mapping[str, Tensor], eta: Tensor
) -> Tensor:
    """Squares of the update, summed over whatever shares a sigma, or over nothing."""
    frame, rate = part.frame, ops.cast(eta, part.dtype)
    if not part.rule.scales_gradient:
        scale, squares = ops.square(rate * sigma), measures["direction"]
        # What does not move is not moved by an infinite gradient either.
        return ops.where(scale > 0, scale * squares, ops.zeros_like(squares))

    def squared(w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        # The accumulator takes the scaled gradient, which was not known when everything else was measured.
        g = g * sigma
        return frame.squared_direction(ops, w, g, frame.divisor(ops, g, accumulator))

    return ops.square(rate) * (squared(*values) if len(sigma.shape) else folded(ops, part, squared, ops.add, *values))


def numbers_of(ops: Any, sigmas: Sequence[Tensor], squares: Sequence[Tensor], coordinates: Sequence[Tensor]) -> Tensor:
    """The parts' numbers, ``[parts, NUMBERS]``, float32, from what :func:`observe` and :func:`coordinate` returned."""

    def stacked(values: Sequence[Tensor]) -> Tensor:
        return ops.stack([ops.cast(value, "float32") for value in values])

    def smallest_of(sigma: Tensor) -> Tensor:
        # Over no rows there is no factor, and nothing was shortened.
        return ops.min(ops.pad(ops.reshape(sigma, (-1,)), [[0, 1]], constant_values=1.0)) if len(sigma.shape) else sigma

    smallest = stacked([smallest_of(sigma) for sigma in sigmas])
    twice = ops.stack([smallest, smallest], axis=1)
    return ops.concatenate([twice, ops.sqrt(stacked(squares)), stacked(coordinates)], axis=1)


def merge(
    ops: Any, numbers: Tensor, integers: Tensor, new_numbers: Tensor, places: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """The kept numbers and integers of some variables after one more step."""
    binds = new_numbers[:, _SMALLEST : _SMALLEST + 1] < numbers[:, _SMALLEST : _SMALLEST + 1]
    merged = ops.concatenate(
        [
            new_numbers[:, :_SMALLEST],
            ops.minimum(numbers[:, _SMALLEST:_GRADIENT], new_numbers[:, _SMALLEST:_GRADIENT]),
            ops.maximum(numbers[:, _GRADIENT:_PARAMETER], new_numbers[:, _GRADIENT:_PARAMETER]),
            new_numbers[:, _PARAMETER:_AT],
            ops.where(binds, new_numbers[:, _AT:], numbers[:, _AT:]),
        ],
        axis=1,
    )
    clipped = integers[:, :_WHEN] + ops.cast(new_numbers[:, :_SMALLEST] < 1, integers.dtype)
    places = ops.cast(places, integers.dtype)
    when = ops.zeros_like(places[:, :1]) + ops.cast(step, integers.dtype)
    where = ops.where(binds, ops.concatenate([when, places], axis=1), integers[:, _WHEN:])
    return merged, ops.concatenate([clipped, where], axis=1)


def empty(variables: int) -> tuple[np.ndarray, np.ndarray]:
    """What is kept before the first step: factors of 1, norms of 0, nothing clipped."""
    numbers = np.zeros((variables, NUMBERS), np.float32)
    numbers[:, :2] = 1.0
    return numbers, np.full((variables, INTEGERS), -1, np.int64) * (np.arange(INTEGERS) > 0)


def explain(rule: str, numbers: np.ndarray, integers: np.ndarray, shape: Sequence[int]) -> Explanation:
    """One variable's explanation, from its row of the kept numbers and integers.

    Args:
      rule: Name of its rule.
      numbers: ``[NUMBERS]``.
      integers: ``[INTEGERS]``.
      shape: The variable's.
    """
    bound_by = None
    if integers[_ROW] >= 0:
        index: tuple[int, ...] = ()
        if len(shape):
            inner = np.unravel_index(int(integers[_COLUMN]), shape[1:]) if len(shape) > 1 else ()
            index = (int(integers[_ROW]), *map(int, inner))
        values = {name: float(number) for name, number in zip(_COORDINATE, numbers[_AT:], strict=True)}
        bound_by = Coordinate(iteration=int(integers[_WHEN]), index=index, **values)
    return Explanation(
        rule=rule,
        factor=float(numbers[_FACTOR]),
        smallest_factor=float(numbers[_SMALLEST]),
        clipped_steps=int(integers[_CLIPPED]),
        gradient_norm=float(numbers[_GRADIENT]),
        update_norm=float(numbers[_UPDATE]),
        parameter_norm=float(numbers[_PARAMETER]),
        bound_by=bound_by,
    )


def coordinate(
    ops: Any, part: Part, values: Touched, measures: Mapping[str, Tensor], eta: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """The coordinate with the largest demand: its numbers, ``[4]``, and its row and column among the touched ones, ``[2]``.

    Not for a program of XLA's own: it would copy the whole variable to take one row.

    Args:
      ops: The namespace, see :mod:`.parts`.
      part: The variable.
      values: What its gradient touches.
      measures: What :func:`.parts.measure` found.
      eta: The learning rate.
      step: The optimizer's step.
    """
    numbers, place = _coordinate(ops, part, values, measures.get("rows", ()), eta, step)
    return ops.stack(numbers), ops.stack(place)


def _coordinate(
    ops: Any, part: Part, values: Touched, demands: Tensor, eta: Tensor, step: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    rule = part.rule_at(ops, step)
    zero = ops.zeros_like(ops.cast(eta, part.dtype))
    none = ops.cast(zero, "int32") - 1
    if not isinstance(rule, Clippy):
        return [zero] * len(_COORDINATE), [none, none]
    if part.rank < 2:
        values = Touched(*(ops.reshape(x, (-1,)) for x in values))
        # A sparse gradient may touch nothing; a coordinate of zeros, which demands nothing, stands for it then.
        found = Touched(*(ops.pad(x, [[0, 1]]) for x in values)) if part.sparse else values
    else:
        # Two steps, along the rows and then within one: finding the place of a maximum in all of a matrix at once is slow.
        row = ops.argmax(ops.pad(demands, [[0, 1]]) if part.sparse else demands)
        found = Touched(*(ops.reshape(_rows(ops, x, row, demands, part), (-1,)) for x in values))
    column = ops.argmax(clipping.demand(ops, part.frame, *found, rule))
    w, g, accumulator = (ops.take(x, column, axis=0) for x in found)
    r = part.frame.direction(ops, w, g, part.frame.divisor(ops, g, accumulator))
    numbers = [w, g, accumulator, ops.cast(eta, part.dtype) * r]
    column = ops.cast(column, "int32")
    if part.rank < 2:
        return numbers, [column, ops.zeros_like(column)]
    width = math.prod(values.w.shape[1:])
    row = ops.cast(row, "int32")
    return numbers, [row if part.sparse else row + column // width * demands.shape[0], column % width]


def _rows(ops: Any, x: Tensor, row: Tensor, demands: Tensor, part: Part) -> Tensor:
    """The row at that place among the demands; of a variable in blocks, the row at that place in each block."""
    if part.sparse:
        return ops.take(ops.pad(x, [[0, 1]] + [[0, 0]] * (part.rank - 1)), row, axis=0)
    return ops.take(ops.reshape(x, (-1, demands.shape[0], *x.shape[1:])), row, axis=1)

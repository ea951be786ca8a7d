"""Records, for each variable, how much its steps were shortened and which coordinate was the cause.

The step itself records the values, from the weights and accumulators before it. Two small arrays hold them for the
whole optimizer. No step between two readings is missed, and nothing is copied to Python before a reading.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .measurement import Measurements, fold_blocks, measure_coordinates
from .reductions import Max, Reduction, Tensor
from .variable_spec import Operands, VariableSpec

# Columns of the numbers of each variable. The columns from _BINDING on describe the binding coordinate of the smallest
# factor.
_FACTOR, _SMALLEST, _GRADIENT, _UPDATE, _PARAMETER, _BINDING = range(6)
_COORDINATE = ("weight", "gradient", "accumulator", "step")
NUMBERS = _BINDING + len(_COORDINATE)
# Columns of the integers of each variable. All but the first describe the same coordinate.
_CLIPPED_STEPS, _ITERATION, _ROW, _COLUMN = range(4)
INTEGERS = 4


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """The coordinate that limited a step the most, with its values before that step.

    Attributes:
      iteration: The step, counted from 0.
      index: Index in the variable; in an embedding table, the first number is the row.
      weight: w.
      gradient: g.
      accumulator: G.
      step: The step that Adagrad proposed, ``eta * r``. The optimizer took ``sigma * step``.
    """

    iteration: int
    index: tuple[int, ...]
    weight: float
    gradient: float
    accumulator: float
    step: float


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The effect of clipping on one variable since the last reading. Norms are Euclidean.

    For a table with sparse gradients, the norms cover the rows in the gradient.

    Attributes:
      rule: Name of the rule of the variable.
      factor: sigma of the last step; the smallest one if rows or units have separate factors.
      smallest_factor: The smallest sigma; 1 if no step was shortened.
      clipped_steps: Number of steps with a sigma below 1.
      gradient_norm: The largest norm of the gradient, as the optimizer received it.
      update_norm: The largest norm of a step that was taken.
      parameter_norm: Norm of the weights before the last step.
      bound_by: The coordinate that limited the step with the smallest factor; None if no step was shortened, or if the
        rule limits norms.
    """

    rule: str
    factor: float
    smallest_factor: float
    clipped_steps: int
    gradient_norm: float
    update_norm: float
    parameter_norm: float
    bound_by: Coordinate | None


def sum_squares(
    ops: Any,
    specs: Sequence[VariableSpec],
    operands: Sequence[Operands],
    sigmas: Sequence[Tensor],
    squares: Sequence[Mapping[str, Reduction]],
    eta: Tensor,
) -> list[Tensor]:
    """Computes the sums of squares of each variable's gradient, update and weights in one step, ``[3]`` each.

    Args:
      ops: A namespace with NumPy's names.
      specs: The variables.
      operands: Their operands before the step.
      sigmas: Their factors: scalars, or broadcastable to the operands.
      squares: The measured squares, see :class:`~.measurement.Measurements`.
      eta: The learning rate.
    """
    sums = []
    for spec, values, sigma, square in zip(specs, operands, sigmas, squares, strict=True):
        update = _square_update(ops, spec, values, sigma, square, eta)
        sums.append(ops.stack([ops.sum(x) for x in (square["gradient"].values, update, square["parameter"].values)]))
    return sums


def _square_update(
    ops: Any, spec: VariableSpec, values: Operands, sigma: Tensor, squares: Mapping[str, Reduction], eta: Tensor
) -> Tensor:
    """Computes the squares of the update. Some may already be summed over the coordinates that share a sigma."""
    adagrad, rate = spec.adagrad, ops.cast(eta, spec.dtype)
    if spec.rule.order == "after":
        scale, direction = ops.square(rate * sigma), squares["direction"].values
        # If the scale is 0, the update is 0, even if the direction is infinite.
        return ops.where(scale > 0, scale * direction, ops.zeros_like(direction))

    def square(w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        # Computed again, because the accumulator takes the scaled gradient, and sigma was unknown during the
        # measurement.
        g = g * sigma
        return adagrad.squared_direction(ops, w, g, adagrad.accumulate(ops, g, accumulator))

    summed = square(*values) if len(sigma.shape) else fold_blocks(ops, spec, square, ops.add, *values)
    return ops.square(rate) * summed


def stack_numbers(
    ops: Any, sigmas: Sequence[Tensor], squares: Sequence[Tensor], coordinates: Sequence[Tensor]
) -> Tensor:
    """Stacks the numbers of one step, ``[variables, NUMBERS]``, float32.

    Args:
      ops: A namespace with NumPy's names.
      sigmas: The factors.
      squares: The results of :func:`sum_squares`.
      coordinates: For each variable, the first result of :func:`find_binding_coordinate`.
    """

    def stack(values: Sequence[Tensor]) -> Tensor:
        return ops.stack([ops.cast(value, "float32") for value in values])

    def find_smallest(sigma: Tensor) -> Tensor:
        # A gradient without rows has no factor and shortens no step, hence the padding with 1.
        return ops.min(ops.pad(ops.reshape(sigma, (-1,)), [[0, 1]], constant_values=1.0)) if len(sigma.shape) else sigma

    smallest = stack([find_smallest(sigma) for sigma in sigmas])
    factor_and_smallest = ops.stack([smallest, smallest], axis=1)
    return ops.concatenate([factor_and_smallest, ops.sqrt(stack(squares)), stack(coordinates)], axis=1)


def merge(
    ops: Any, numbers: Tensor, integers: Tensor, new_numbers: Tensor, cells: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """Merges the numbers and integers of one more step.

    Args:
      ops: A namespace with NumPy's names.
      numbers: The numbers so far, ``[variables, NUMBERS]``.
      integers: The integers so far, ``[variables, INTEGERS]``.
      new_numbers: The numbers of the step.
      cells: Row and column of each variable's binding coordinate in the step, ``[variables, 2]``.
      step: The step, counted from 0.
    """
    is_smaller = new_numbers[:, _SMALLEST : _SMALLEST + 1] < numbers[:, _SMALLEST : _SMALLEST + 1]
    merged_numbers = ops.concatenate(
        [
            new_numbers[:, :_SMALLEST],
            ops.minimum(numbers[:, _SMALLEST:_GRADIENT], new_numbers[:, _SMALLEST:_GRADIENT]),
            ops.maximum(numbers[:, _GRADIENT:_PARAMETER], new_numbers[:, _GRADIENT:_PARAMETER]),
            new_numbers[:, _PARAMETER:_BINDING],
            ops.where(is_smaller, new_numbers[:, _BINDING:], numbers[:, _BINDING:]),
        ],
        axis=1,
    )
    clipped_steps = integers[:, :_ITERATION] + ops.cast(new_numbers[:, :_SMALLEST] < 1, integers.dtype)
    cells = ops.cast(cells, integers.dtype)
    iteration = ops.zeros_like(cells[:, :1]) + ops.cast(step, integers.dtype)
    binding = ops.where(is_smaller, ops.concatenate([iteration, cells], axis=1), integers[:, _ITERATION:])
    return merged_numbers, ops.concatenate([clipped_steps, binding], axis=1)


def make_empty(variables: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes the numbers and integers before the first step: factors of 1, norms of 0, no clipped step."""
    numbers = np.zeros((variables, NUMBERS), np.float32)
    numbers[:, :_GRADIENT] = 1.0
    return numbers, np.full((variables, INTEGERS), -1, np.int64) * (np.arange(INTEGERS) > 0)


def make_explanation(rule: str, numbers: np.ndarray, integers: np.ndarray, shape: Sequence[int]) -> Explanation:
    """Makes the explanation of one variable from its numbers and integers.

    Args:
      rule: Name of the variable's rule.
      numbers: ``[NUMBERS]``.
      integers: ``[INTEGERS]``.
      shape: Shape of the variable.
    """
    bound_by = None
    if integers[_ROW] >= 0:
        index: tuple[int, ...] = ()
        if len(shape):
            inner = np.unravel_index(int(integers[_COLUMN]), shape[1:]) if len(shape) > 1 else ()
            index = (int(integers[_ROW]), *map(int, inner))
        values = {name: float(number) for name, number in zip(_COORDINATE, numbers[_BINDING:], strict=True)}
        bound_by = Coordinate(iteration=int(integers[_ITERATION]), index=index, **values)
    return Explanation(
        rule=rule,
        factor=float(numbers[_FACTOR]),
        smallest_factor=float(numbers[_SMALLEST]),
        clipped_steps=int(integers[_CLIPPED_STEPS]),
        gradient_norm=float(numbers[_GRADIENT]),
        update_norm=float(numbers[_UPDATE]),
        parameter_norm=float(numbers[_PARAMETER]),
        bound_by=bound_by,
    )


def find_binding_coordinate(
    ops: Any, spec: VariableSpec, values: Operands, measurements: Measurements, eta: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """Finds the coordinate with the largest value in the first reduction of a rule, if that reduction is a maximum.

    Do not compile this function with XLA, which would copy the whole variable to take one row.

    Args:
      ops: A namespace with NumPy's names.
      spec: The variable.
      values: The operands of the variable.
      measurements: The measurements of the variable.
      eta: The learning rate.
      step: The step, counted from 0.

    Returns:
      w, g, G and the proposed step of the coordinate, ``[4]``; and its row and column in the operands, ``[2]``. The row
      and the column are -1 if the rule limits norms.
    """
    zero = ops.zeros_like(ops.cast(eta, spec.dtype))
    if not (spec.clips and isinstance(next(iter(measurements.rule.values())), Max)):
        nowhere = ops.cast(zero, "int32") - 1
        return ops.stack([zero] * len(_COORDINATE)), ops.stack([nowhere, nowhere])
    if spec.rank < 2:
        values = Operands(*(ops.reshape(x, (-1,)) for x in values))
        # A sparse gradient may have no rows, so one coordinate of zeros is appended.
        candidates = Operands(*(ops.pad(x, [[0, 1]]) for x in values)) if spec.is_sparse else values
    else:
        # First the row, then the column, because argmax over a whole matrix is slow.
        maxima: Tensor = measurements.row_maxima
        row = ops.argmax(ops.pad(maxima, [[0, 1]]) if spec.is_sparse else maxima)
        candidates = Operands(*(ops.reshape(_take_rows(ops, x, row, maxima, spec), (-1,)) for x in values))
    quantities = measure_coordinates(ops, spec, spec.rule_at(ops, step), candidates)
    column = ops.argmax(next(iter(quantities.values())).values)
    w, g, accumulator = (ops.take(x, column, axis=0) for x in candidates)
    r = spec.adagrad.direction(ops, w, g, spec.adagrad.accumulate(ops, g, accumulator))
    numbers = ops.stack([w, g, accumulator, ops.cast(eta, spec.dtype) * r])
    column = ops.cast(column, "int32")
    if spec.rank < 2:
        return numbers, ops.stack([column, ops.zeros_like(column)])
    width = math.prod(values.w.shape[1:])
    row = ops.cast(row, "int32")
    if not spec.is_sparse:
        row, column = row + column // width * maxima.shape[0], column % width
    return numbers, ops.stack([row, column % width])


def _take_rows(ops: Any, x: Tensor, row: Tensor, maxima: Tensor, spec: VariableSpec) -> Tensor:
    """Returns the row at index ``row`` of ``maxima``; for a variable in blocks, this row of every block."""
    if spec.is_sparse:
        return ops.take(ops.pad(x, [[0, 1]] + [[0, 0]] * (spec.rank - 1)), row, axis=0)
    return ops.take(ops.reshape(x, (-1, maxima.shape[0], *x.shape[1:])), row, axis=1)

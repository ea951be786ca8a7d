"""Computes the reductions of the rules over all variables of a step, in one pass over memory.

``ops`` is a namespace with NumPy's names: ``keras.ops`` in Keras 3, :class:`.tensorflow_ops.Ops` on TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .coordinates import Coordinates
from .reductions import Max, MaxOfRoots, Quantity, Reduction, Sum, Tensor
from .rule import Rule
from .variable_spec import Operands, VariableSpec

# Coordinates per block: one mebibyte of float32, which fits the second-level cache of a core.
_BLOCK = 1 << 18


class Measurements(NamedTuple):
    """The reductions measured for one variable.

    Attributes:
      rule: The reductions of the variable's rule, by name. The first one is not finite if the gradient is bad.
      squares: With ``explain``, the sums of squares of ``gradient``, ``parameter`` and, if sigma scales the step,
        ``direction``. Otherwise empty.
      row_maxima: With ``explain``, if the rule takes a maximum and the variable has two or more axes, the maximum of
        each row. If the rows are measured in blocks, entry i is the maximum over row i of all blocks. Otherwise None.
    """

    rule: dict[str, Reduction]
    squares: dict[str, Reduction]
    row_maxima: Tensor | None


def measure_variables(
    ops: Any, specs: Sequence[VariableSpec], operands: Sequence[Operands], step: Tensor
) -> list[Measurements]:
    """Measures each variable.

    Args:
      ops: A namespace with NumPy's names.
      specs: The variables.
      operands: Their operands.
      step: The step, at which scheduled thresholds are evaluated.
    """
    return [
        _measure_variable(ops, spec, spec.rule_at(ops, step), values)
        for spec, values in zip(specs, operands, strict=True)
    ]


def measure_coordinates(ops: Any, spec: VariableSpec, rule: Rule, values: Operands) -> dict[str, Quantity]:
    """Computes the quantities of a rule before their reduction. The first one is infinite where the gradient is bad."""
    x = Coordinates(ops, spec.adagrad, *values)
    quantities = rule.measure(ops, x)
    first = next(iter(quantities))
    marked = x.mark_bad_gradients(quantities[first].values)
    return {**quantities, first: quantities[first]._replace(values=marked)}


def _measure_variable(ops: Any, spec: VariableSpec, rule: Rule, values: Operands) -> Measurements:
    def measure_block(*block: Tensor) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
        quantities = measure_coordinates(ops, spec, rule, Operands(*block))
        squares = _compute_squares(ops, spec, Operands(*block)) if spec.explain else {}
        return quantities, squares

    def merge(merged: Any, block: Any) -> Any:
        return tuple(
            {name: x.merge(ops, new[name]) for name, x in old.items()} for old, new in zip(merged, block, strict=True)
        )

    quantities, squares = (
        fold_blocks(ops, spec, measure_block, merge, *values) if spec.axis is None else measure_block(*values)
    )
    reductions = {name: x.reduce(ops, spec.axis) for name, x in quantities.items()}
    row_maxima = None
    name, first = next(iter(quantities.items()))
    if spec.explain and spec.clips and spec.rank > 1 and isinstance(first, (Max, MaxOfRoots)):
        inner = tuple(range(1, spec.rank))
        by_row = first.reduce(ops, inner)
        row_maxima = ops.reshape(by_row.values, (-1,))
        if spec.axis in (None, inner):
            # Computed from the maxima of the rows, so that the coordinates are read once.
            reductions[name] = by_row if spec.axis else Max(row_maxima).reduce(ops, None)
    return Measurements(reductions, {name: x.reduce(ops, spec.axis) for name, x in squares.items()}, row_maxima)


def _compute_squares(ops: Any, spec: VariableSpec, values: Operands) -> dict[str, Quantity]:
    x = Coordinates(ops, spec.adagrad, *values)
    squares = {"gradient": x.mark_bad_gradients(ops.square(x.g)), "parameter": ops.square(x.w)}
    if spec.rule.order == "after":
        squares["direction"] = x.mark_bad_gradients(x.r_squared)
    return {name: Sum(values) for name, values in squares.items()}


def fold_blocks(
    ops: Any,
    spec: VariableSpec,
    function: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    *arrays: Tensor,
) -> Any:
    """Calls an element-wise function on each block of rows and merges the results into one block.

    A reduction of the merged block equals the reduction of all values. XLA's CPU backend writes values to memory before
    it reduces them; the values of one block stay in the processor's cache.

    Args:
      ops: A namespace with NumPy's names.
      spec: The variable. Without ``block_rows``, the function is called once.
      function: Receives one block of each of ``arrays``.
      merge: Combines the results of two blocks.
      *arrays: Arrays of the variable's shape.
    """
    if spec.block_rows is None:
        return function(*arrays)
    shape = arrays[0].shape

    def call_block(block: Any) -> Any:
        start = (block * spec.block_rows, *([0] * (spec.rank - 1)))
        return function(*(ops.slice(x, start, (spec.block_rows, *shape[1:])) for x in arrays))

    return ops.fori_loop(
        1, shape[0] // spec.block_rows, lambda block, merged: merge(merged, call_block(block)), call_block(0)
    )


def choose_block_rows(shape: Sequence[int]) -> int | None:
    """Returns the best number of rows per block for a variable of this shape; None to measure all rows at once."""
    max_rows = _BLOCK // max(1, math.prod(shape[1:]))
    if len(shape) == 0 or max_rows < 1 or shape[0] <= max_rows:
        return None
    # A divisor, so that all blocks are equal. Much smaller blocks would cost more than they save.
    return next((rows for rows in range(max_rows, max_rows // 4, -1) if shape[0] % rows == 0), None)

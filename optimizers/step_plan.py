"""Plans a step, on any backend: computes the factors from all gradients, whether to take the step, and the next state.

This first half writes no variable. The second half differs between backends and writes the results. Therefore a bad
gradient of one variable leaves all variables unchanged, and a rule can use a norm over all variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import explanations
from .factors import compute_factors
from .measurement import measure_variables
from .reductions import Tensor
from .rule import Rule
from .update import Decision
from .variable_spec import Operands, VariableSpec

SKIPPED, SKIPPED_IN_A_ROW, PER_VARIABLE = 0, 1, 2
"""Indices into the counts: all skipped steps, skipped steps in a row, and the first variable's bad gradients."""


class State(NamedTuple):
    """The state of an optimizer besides the accumulators, for V variables. Entries that are not needed are None.

    Attributes:
      counts: ``[PER_VARIABLE + V]``, integers.
      rule_state: The numbers that rules keep between steps, ``[V]``.
      numbers: The numbers for explanations, ``[V, NUMBERS]``.
      integers: The integers for explanations, ``[V, INTEGERS]``.
    """

    counts: Any
    rule_state: Any = None
    numbers: Any = None
    integers: Any = None

    def map(self, function: Callable[..., Any], *others: Any) -> State:
        """Applies ``function`` to each entry that is not None, with the entries of ``others`` at the same position."""
        entries = zip(self, *others, strict=True)
        return State(*(None if entry is None else function(entry, *more) for entry, *more in entries))


class StepPlan(NamedTuple):
    """The result of the first half of a step.

    Attributes:
      sigmas: The factor of each variable.
      eta: The learning rate; 0 if it was not finite.
      take_step: Whether the step is taken; False if it is skipped.
      is_finite: Whether the gradient of each variable is finite.
      state: The state after the step.
      added_counts: The increments of the counts, except for the skipped steps in a row.
    """

    sigmas: list[Tensor]
    eta: Tensor
    take_step: Tensor
    is_finite: Tensor
    state: State
    added_counts: Tensor

    def decision(self, position: int) -> Decision:
        """Returns the decision for the variable at a position."""
        return Decision(self.sigmas[position], self.eta, self.take_step)


def make_first_state(rules: Sequence[Rule], explain: bool) -> State:
    """Makes the state before the first step, as NumPy arrays.

    Args:
      rules: The rule of each variable.
      explain: Whether the optimizer records explanations.
    """
    count = len(rules)
    rule_state = None
    if any(rule.initial_state is not None for rule in rules):
        rule_state = np.array([rule.initial_state or 0.0 for rule in rules], np.float32)
    return State(
        np.zeros(PER_VARIABLE + count, np.int64), rule_state, *(explanations.make_empty(count) if explain else ())
    )


def plan_step(
    ops: Any,
    call_each: Callable[..., list[Any]],
    specs: Sequence[VariableSpec],
    operands: Sequence[Operands],
    table_rows: Sequence[Tensor | None],
    *,
    step: Tensor,
    eta: Tensor,
    state: State,
    skip_nonfinite: bool,
) -> StepPlan:
    """Measures every variable once and plans the step.

    Args:
      ops: A namespace with NumPy's names.
      call_each: Calls a function with ``ops``, the specs, lists with one entry per variable, and ``shared`` values. It
        may compile the function.
      specs: The variables of the step.
      operands: Their operands.
      table_rows: The rows of each sparse gradient; None for a dense one.
      step: The step, counted from 0.
      eta: The learning rate.
      state: The state before the step.
      skip_nonfinite: Whether a bad gradient skips the step.
    """
    # A learning rate that is not finite skips the step, as a bad gradient does.
    rate_is_finite = ops.isfinite(eta)
    eta = ops.where(rate_is_finite, eta, ops.zeros_like(eta))
    measurements = call_each(measure_variables, specs, operands, shared=[step])
    factors = compute_factors(ops, specs, [m.rule for m in measurements], step, eta, state.rule_state)
    take_step = ops.ones_like(rate_is_finite)
    if skip_nonfinite:
        take_step = ops.logical_and(ops.all(factors.is_finite), rate_is_finite)
    indices = [spec.index for spec in specs]
    counts, added_counts = _count(ops, state.counts, indices, take_step, factors.is_finite, skip_nonfinite)
    next_state = State(counts)
    if state.rule_state is not None:
        next_state = next_state._replace(rule_state=ops.where(take_step, factors.rule_state, state.rule_state))
    if state.numbers is not None:
        squares = call_each(
            explanations.sum_squares, specs, operands, factors.sigmas, [m.squares for m in measurements], shared=[eta]
        )
        coordinates = [
            explanations.find_binding_coordinate(ops, spec, values, measurement, eta, step)
            for spec, values, measurement in zip(specs, operands, measurements, strict=True)
        ]
        numbers = explanations.stack_numbers(ops, factors.sigmas, squares, [numbers for numbers, _ in coordinates])
        cells = ops.stack(
            [
                cell if rows is None else _find_table_cell(ops, cell, rows)
                for (_, cell), rows in zip(coordinates, table_rows, strict=True)
            ]
        )
        numbers, integers = _merge_explanations(ops, state, indices, numbers, cells, step)
        next_state = next_state._replace(
            numbers=ops.where(take_step, numbers, state.numbers),
            integers=ops.where(take_step, integers, state.integers),
        )
    return StepPlan(factors.sigmas, eta, take_step, factors.is_finite, next_state, added_counts)


def _merge_explanations(
    ops: Any, state: State, indices: Sequence[int], numbers: Tensor, cells: Tensor, step: Tensor
) -> list[Tensor]:
    """Merges the numbers and integers of the step into the state of the variables at ``indices``."""
    before = (state.numbers, state.integers)
    old_numbers, old_integers = (ops.take(entry, indices, axis=0) for entry in before)
    merged = explanations.merge(ops, old_numbers, old_integers, numbers, cells, step)
    rows = [[index] for index in indices]
    return [ops.scatter_update(entry, rows, new) for entry, new in zip(before, merged, strict=True)]


def _count(
    ops: Any, counts: Tensor, indices: Sequence[int], take_step: Tensor, is_finite: Tensor, skip_nonfinite: bool
) -> tuple[Tensor, Tensor]:
    """Computes the counts after the step, and their increments except for the skipped steps in a row."""
    if not skip_nonfinite:
        return counts, ops.zeros_like(counts)
    skipped = ops.cast(ops.where(take_step, 0, 1), counts.dtype)
    added = ops.concatenate([ops.stack([skipped]), ops.cast(ops.where(is_finite, 0, 1), counts.dtype)], axis=0)
    rows = [[SKIPPED], *([PER_VARIABLE + index] for index in indices)]
    added = ops.scatter_update(ops.zeros_like(counts), rows, added)
    in_a_row = (counts[SKIPPED_IN_A_ROW] + 1) * skipped
    return ops.scatter_update(counts + added, [[SKIPPED_IN_A_ROW]], ops.stack([in_a_row])), added


def _find_table_cell(ops: Any, cell: Tensor, rows: Tensor) -> Tensor:
    """Converts row and column in a sparse gradient to those in its table; -1 for a row that does not exist."""
    rows = ops.pad(ops.cast(rows, cell.dtype), [[0, 1]], constant_values=-1)
    row = ops.where(cell[0] < 0, ops.size(rows) - 1, cell[0])
    return ops.stack([ops.take(rows, row, axis=0), cell[1]])

"""The first half of a step, for any backend: from all gradients to the factors, whether the step is taken, and the next state.

Nothing is written here. The second half, which differs between backends, writes what this one decided. So a bad gradient of one
variable leaves all others untouched, and a norm can be taken over all variables.
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
"""Places in the counts: skipped steps in all, skipped steps in a row, and how often the gradient of each variable was bad."""


class State(NamedTuple):
    """What an optimizer keeps beside the accumulators, for V variables; entries that are not needed are None.

    Attributes:
      counts: ``[PER_VARIABLE + V]``, integers.
      rule_state: What rules keep between steps, ``[V]``.
      numbers: What explanations keep, ``[V, NUMBERS]``.
      integers: What explanations keep, ``[V, INTEGERS]``.
    """

    counts: Any
    rule_state: Any = None
    numbers: Any = None
    integers: Any = None

    def map(self, function: Callable[..., Any], *others: Any) -> State:
        """The state with ``function`` applied to each entry that is needed, and to the entries of ``others`` at its place."""
        entries = zip(self, *others, strict=True)
        return State(*(None if entry is None else function(entry, *more) for entry, *more in entries))


class StepPlan(NamedTuple):
    """What the first half decided.

    Attributes:
      sigmas: The factor of each variable.
      eta: The learning rate, 0 if it was not finite.
      take_step: Whether the step is taken at all.
      is_finite: Whether the gradient of each variable is finite.
      state: The state after the step.
      added_counts: What the step adds to the counts, except for the skipped steps in a row.
    """

    sigmas: list[Tensor]
    eta: Tensor
    take_step: Tensor
    is_finite: Tensor
    state: State
    added_counts: Tensor

    def decision(self, place: int) -> Decision:
        """What is decided for the variable at a place."""
        return Decision(self.sigmas[place], self.eta, self.take_step)


def make_first_state(rules: Sequence[Rule], explain: bool) -> State:
    """The state before the first step, as NumPy arrays.

    Args:
      rules: The rule of each variable.
      explain: Whether the optimizer explains its steps.
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
    """Measures every variable once and decides.

    Args:
      ops: A namespace with NumPy's names.
      call_each: Calls a function with ``ops``, the specs, lists with one entry for each variable, and ``shared`` values; may
        compile it.
      specs: The variables of the step.
      operands: What their gradients touch.
      table_rows: The rows that a sparse gradient touches; None for a dense one.
      step: The step, counted from 0.
      eta: The learning rate.
      state: The state before the step.
      skip_nonfinite: Whether a bad gradient skips the step.
    """
    # A learning rate that is not finite is as bad as such a gradient.
    rate_is_finite = ops.isfinite(eta)
    eta = ops.where(rate_is_finite, eta, ops.zeros_like(eta))
    measurements = call_each(measure_variables, specs, operands, shared=[step])
    factors = compute_factors(ops, specs, [m.rule for m in measurements], step, eta, state.rule_state)
    take_step = ops.ones_like(rate_is_finite)
    if skip_nonfinite:
        take_step = ops.logical_and(ops.all(factors.is_finite), rate_is_finite)
    indices = [spec.index for spec in specs]
    counts, added_counts = _count(ops, state.counts, indices, take_step, factors.is_finite, skip_nonfinite)
    after = State(counts)
    if state.rule_state is not None:
        after = after._replace(rule_state=ops.where(take_step, factors.rule_state, state.rule_state))
    if state.numbers is not None:
        squares = call_each(
            explanations.sum_squares, specs, operands, factors.sigmas, [m.squares for m in measurements], shared=[eta]
        )
        coordinates = [
            explanations.find_binding_coordinate(ops, spec, values, measurement, eta, step)
            for spec, values, measurement in zip(specs, operands, measurements, strict=True)
        ]
        numbers = explanations.stack_numbers(ops, factors.sigmas, squares, [numbers for numbers, _ in coordinates])
        places = ops.stack(
            [
                place if rows is None else _place_in_table(ops, place, rows)
                for (_, place), rows in zip(coordinates, table_rows, strict=True)
            ]
        )
        numbers, integers = _merge_explanations(ops, state, indices, numbers, places, step)
        after = after._replace(
            numbers=ops.where(take_step, numbers, state.numbers),
            integers=ops.where(take_step, integers, state.integers),
        )
    return StepPlan(factors.sigmas, eta, take_step, factors.is_finite, after, added_counts)


def _merge_explanations(
    ops: Any, state: State, indices: Sequence[int], numbers: Tensor, places: Tensor, step: Tensor
) -> list[Tensor]:
    """The numbers and integers of all variables, with those of the step merged into the variables at ``indices``."""
    before = (state.numbers, state.integers)
    old_numbers, old_integers = (ops.take(entry, indices, axis=0) for entry in before)
    merged = explanations.merge(ops, old_numbers, old_integers, numbers, places, step)
    rows = [[index] for index in indices]
    return [ops.scatter_update(entry, rows, new) for entry, new in zip(before, merged, strict=True)]


def _count(
    ops: Any, counts: Tensor, indices: Sequence[int], take_step: Tensor, is_finite: Tensor, skip_nonfinite: bool
) -> tuple[Tensor, Tensor]:
    """The counts after the step, and what it adds to them except for the skipped steps in a row."""
    if not skip_nonfinite:
        return counts, ops.zeros_like(counts)
    skipped = ops.cast(ops.where(take_step, 0, 1), counts.dtype)
    added = ops.concatenate([ops.stack([skipped]), ops.cast(ops.where(is_finite, 0, 1), counts.dtype)], axis=0)
    places = [[SKIPPED], *([PER_VARIABLE + index] for index in indices)]
    added = ops.scatter_update(ops.zeros_like(counts), places, added)
    in_a_row = (counts[SKIPPED_IN_A_ROW] + 1) * skipped
    return ops.scatter_update(counts + added, [[SKIPPED_IN_A_ROW]], ops.stack([in_a_row])), added


def _place_in_table(ops: Any, place: Tensor, rows: Tensor) -> Tensor:
    """Row and column in the table, from row and column in a sparse gradient; -1 for a row that does not exist."""
    rows = ops.pad(ops.cast(rows, place.dtype), [[0, 1]], constant_values=-1)
    row = ops.where(place[0] < 0, ops.size(rows) - 1, place[0])
    return ops.stack([ops.take(rows, row, axis=0), place[1]])

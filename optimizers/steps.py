"""The first half of a step, for any backend: from all gradients to factors, a verdict on the step, and what is kept.

Nothing is written here. The second half, which differs between backends, writes what this one decided; so a bad gradient of
one variable leaves all others untouched, and a norm can be taken over all variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import explanations, factors, parts
from .clipping import NO_GAMMA, Rule, Tensor
from .parts import Part, Touched

SKIPPED, IN_A_ROW, PER_VARIABLE = 0, 1, 2
"""Places in the counts: skipped steps in all, in a row, and for each variable how often its gradient was bad."""


class State(NamedTuple):
    """What an optimizer keeps beside the accumulators; V variables. Entries that are not needed are None.

    Attributes:
      counts: ``[PER_VARIABLE + V]``, integers.
      gammas: What AdaGC keeps, ``[V]``.
      numbers: What the explanations keep, ``[V, NUMBERS]`` …
      integers: … and ``[V, INTEGERS]``.
    """

    counts: Any
    gammas: Any = None
    numbers: Any = None
    integers: Any = None

    def map(self, function: Callable[..., Any], *others: Any) -> State:
        """The state with ``function`` of each entry that is needed, and of the entries of ``others`` at its place."""
        together = zip(self, *others, strict=True)
        return State(*(None if one is None else function(one, *more) for one, *more in together))


class Plan(NamedTuple):
    """What the first half decided.

    Attributes:
      sigmas: The factor of each variable.
      eta: The learning rate.
      sound: Whether the step is taken at all.
      finite: For each variable whether its gradient is finite.
      state: What is kept after the step.
      more_counts: What the step adds to the counts, but for those in a row.
    """

    sigmas: list[Tensor]
    eta: Tensor
    sound: Tensor
    finite: Tensor
    state: State
    more_counts: Tensor


def first_state(rules: Sequence[Rule], explain: bool) -> State:
    """The state before the first step, as NumPy arrays.

    Args:
      rules: The rule of each variable.
      explain: Whether the optimizer explains itself.
    """
    count = len(rules)
    counts = np.zeros(PER_VARIABLE + count, np.int64)
    gammas = np.full(count, NO_GAMMA, np.float32) if any(rule.keeps_state for rule in rules) else None
    return State(counts, gammas, *(explanations.empty(count) if explain else ()))


def plan(
    ops: Any,
    each: Callable[..., list[Any]],
    chosen: Sequence[Part],
    touched: Sequence[Touched],
    table_rows: Sequence[Tensor | None],
    *,
    step: Tensor,
    eta: Tensor,
    state: State,
    skip: bool,
) -> Plan:
    """Measures every variable once and decides.

    Args:
      ops: The namespace, see :mod:`.parts`.
      each: Calls a function on ``ops``, the parts, lists with one entry for each part, and ``shared`` values; may compile.
      chosen: The variables of the step.
      touched: What their gradients touch.
      table_rows: Of a sparse gradient the rows that it touches; None for a dense one.
      step: The optimizer's step, counted from 0.
      eta: The learning rate.
      state: What is kept.
      skip: Whether a bad gradient skips the step.
    """
    # A rate that is not finite is as bad as a gradient.
    rate_is_finite = ops.isfinite(eta)
    eta = ops.where(rate_is_finite, eta, ops.zeros_like(eta))
    measured = each(parts.measure, chosen, touched, shared=[step])
    found = factors.combine(ops, chosen, measured, step, eta, state.gammas)
    sound = ops.logical_and(ops.all(found.sound), rate_is_finite) if skip else ops.ones_like(rate_is_finite)
    counts, more_counts = _counted(ops, state.counts, [part.index for part in chosen], sound, found.sound, skip)
    after = State(counts)
    if state.gammas is not None:
        after = after._replace(gammas=ops.where(sound, found.gammas, state.gammas))
    if state.numbers is not None:
        squares = each(explanations.observe, chosen, touched, found.sigmas, measured, shared=[eta])
        bound = [
            explanations.coordinate(ops, part, values, measures, eta, step)
            for part, values, measures in zip(chosen, touched, measured, strict=True)
        ]
        numbers, places = _explained(ops, table_rows, found.sigmas, squares, bound)
        at = [part.index for part in chosen]
        before = [ops.take(kept, at, axis=0) for kept in (state.numbers, state.integers)]
        numbers, integers = (
            ops.where(sound, ops.scatter_update(old, [[index] for index in at], new), old)
            for old, new in zip(
                (state.numbers, state.integers),
                explanations.merge(ops, before[0], before[1], numbers, places, step),
                strict=True,
            )
        )
        after = after._replace(numbers=numbers, integers=integers)
    return Plan(found.sigmas, eta, sound, found.sound, after, more_counts)


def _explained(
    ops: Any,
    table_rows: Sequence[Tensor | None],
    sigmas: Sequence[Tensor],
    squares: Sequence[Tensor],
    bound: Sequence[tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """The numbers of this step, ``[parts, NUMBERS]``, and the rows and columns of the variables that bind, ``[parts, 2]``."""
    coordinates, places = zip(*bound, strict=True)
    numbers = explanations.numbers_of(ops, sigmas, squares, coordinates)
    in_tables = [
        place if rows is None else _in_table(ops, place, rows) for place, rows in zip(places, table_rows, strict=True)
    ]
    return numbers, ops.stack(in_tables)


def _counted(
    ops: Any, counts: Tensor, indices: Sequence[int], sound: Tensor, finite: Tensor, skip: bool
) -> tuple[Tensor, Tensor]:
    """The counts after the step, and what it adds to them but for those in a row."""
    if not skip:
        return counts, ops.zeros_like(counts)
    bad = ops.cast(ops.where(sound, 0, 1), counts.dtype)
    more = ops.concatenate([ops.stack([bad]), ops.cast(ops.where(finite, 0, 1), counts.dtype)], axis=0)
    places = [[SKIPPED], *([PER_VARIABLE + index] for index in indices)]
    more = ops.scatter_update(ops.zeros_like(counts), places, more)
    in_a_row = (counts[IN_A_ROW] + 1) * bad
    return ops.scatter_update(counts + more, [[IN_A_ROW]], ops.stack([in_a_row])), more


def _in_table(ops: Any, place: Tensor, rows: Tensor) -> Tensor:
    """Row and column in the table of a row and column in a sparse gradient; -1 for a row that is not there."""
    rows = ops.pad(ops.cast(rows, place.dtype), [[0, 1]], constant_values=-1)
    row = ops.where(place[0] < 0, ops.size(rows) - 1, place[0])
    return ops.stack([ops.take(rows, row, axis=0), place[1]])

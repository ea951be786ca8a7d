"""Computes the factor of each variable: joins shards, computes norms over all variables, and applies the rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from .reductions import Reduction, Tensor
from .rule import Rule
from .variable_spec import VariableSpec

Reductions = Mapping[str, Reduction]


@dataclasses.dataclass(frozen=True)
class Factors:
    """The results of the rules in one step.

    Attributes:
      sigmas: The factor of each variable: a scalar, or broadcastable to the operands.
      is_finite: Whether the gradient of each variable is finite and within the limit, ``[variables of the step]``.
      rule_state: The state of the rules after this step, ``[all variables]``; None if no rule has a state.
    """

    sigmas: list[Tensor]
    is_finite: Tensor
    rule_state: Tensor | None


def compute_factors(
    ops: Any,
    specs: Sequence[VariableSpec],
    reductions: Sequence[Reductions],
    step: Tensor,
    eta: Tensor,
    rule_state: Tensor | None,
) -> Factors:
    """Applies its rule to each variable.

    Args:
      ops: A namespace with NumPy's names.
      specs: The variables of the step.
      reductions: The reductions of each variable's rule.
      step: The step, counted from 0.
      eta: The learning rate.
      rule_state: The state of the rules before this step, ``[all variables]``.
    """
    joined = _join_shards(ops, specs, reductions)
    sigmas: list[Tensor] = [None] * len(specs)
    order: list[int] = []
    is_finite: list[Tensor] = []
    for positions in _group_by_rule(specs):
        spec = specs[positions[0]]
        rule = spec.rule_at(ops, step)
        rate = ops.cast(eta, spec.dtype)
        first = next(iter(joined[positions[0]]))
        order += positions
        if spec.axis is not None:
            (position,) = positions
            values = {name: x.value(ops) for name, x in joined[position].items()}
            sigmas[position] = rule.sigma(ops, values, rate)
            is_finite.append(ops.reshape(ops.all(ops.isfinite(values[first])), (1,)))
            continue
        values = {name: ops.stack([joined[i][name].value(ops) for i in positions]) for name in joined[positions[0]]}
        is_finite.append(ops.isfinite(values[first]))
        if rule.initial_state is not None and rule_state is not None:
            totals = _compute_totals(ops, specs, reductions, spec)
            indices = [specs[i].index for i in positions]
            state = ops.cast(ops.take(rule_state, indices, axis=0), spec.dtype)
            sigma, state = rule.sigma_and_state(ops, values, totals, state, step)
            rule_state = ops.scatter_update(
                rule_state, [[index] for index in indices], ops.cast(state, rule_state.dtype)
            )
        else:
            if rule.granularity == "global":
                totals = _compute_totals(ops, specs, reductions, spec)
                values = {name: ops.ones_like(value) * totals[name] for name, value in values.items()}
            sigma = rule.sigma(ops, values, rate)
        for i, factor in zip(positions, ops.unstack(sigma, len(positions)), strict=True):
            sigmas[i] = factor
    # Restores the order of the variables from the order of the groups.
    inverse_order = sorted(range(len(order)), key=order.__getitem__)
    return Factors(sigmas, ops.take(ops.concatenate(is_finite, axis=0), inverse_order, axis=0), rule_state)


def _group_by_rule(specs: Sequence[VariableSpec]) -> list[list[int]]:
    """Groups the positions of variables whose factors form one vector. A variable with several factors is alone."""
    groups: dict[tuple[Rule, str, int | None], list[int]] = {}
    for i, spec in enumerate(specs):
        groups.setdefault((spec.rule, spec.dtype, None if spec.axis is None else i), []).append(i)
    return list(groups.values())


def _compute_totals(
    ops: Any, specs: Sequence[VariableSpec], reductions: Sequence[Reductions], spec: VariableSpec
) -> dict[str, Tensor]:
    """Computes the reductions over all variables with the same rule as ``spec``, in their widest dtype."""
    members = [(other, x) for other, x in zip(specs, reductions, strict=True) if other.rule == spec.rule]
    widest = max(other.dtype for other, _ in members)
    totals = {}
    for name, reduction in members[0][1].items():
        cast = [type(reduction)(*(ops.cast(number, widest) for number in x[name])) for _, x in members]
        totals[name] = ops.cast(type(reduction).join(ops, cast).value(ops), spec.dtype)
    return totals


def _join_shards(ops: Any, specs: Sequence[VariableSpec], reductions: Sequence[Reductions]) -> Sequence[Reductions]:
    """Replaces the reductions of each shard by those of its whole table.

    Rules by row need no joining, because a row is within one shard. Neither do global rules, whose totals include all
    shards.
    """
    tables: dict[Hashable, list[int]] = {}
    for i, spec in enumerate(specs):
        tables.setdefault(spec.table, []).append(i)
    joined = list(reductions)
    for positions in tables.values():
        if len(positions) == 1 or specs[positions[0]].rule.granularity in ("row", "global"):
            continue
        whole = {
            name: type(reduction).join(ops, [reductions[i][name] for i in positions])
            for name, reduction in reductions[positions[0]].items()
        }
        for i in positions:
            joined[i] = whole
    return joined

"""From the measurements of all variables to their factors: shards joined, norms over all variables, and each rule applied."""

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
    """What the rules decide in one step.

    Attributes:
      sigmas: The factor of each variable: a scalar, or broadcastable to the operands.
      is_finite: Whether the gradient of each variable is finite and within the limit, ``[variables of the step]``.
      rule_state: The state of the rules after this step, ``[all variables]``; None where no rule keeps any.
    """

    sigmas: list[Tensor]
    is_finite: Tensor
    rule_state: Tensor | None


def compute_factors(
    ops: Any,
    specs: Sequence[VariableSpec],
    measured: Sequence[Reductions],
    step: Tensor,
    eta: Tensor,
    rule_state: Tensor | None,
) -> Factors:
    """Applies the rule of each variable.

    Args:
      ops: A namespace with NumPy's names.
      specs: The variables of the step.
      measured: The reductions of each variable's rule.
      step: The step.
      eta: The learning rate.
      rule_state: The state of the rules before this step, ``[all variables]``.
    """
    own, measured = measured, _join_shards(ops, specs, measured)
    sigmas: list[Tensor] = [None] * len(specs)
    order: list[int] = []
    is_finite: list[Tensor] = []
    for places in _group_by_rule(specs):
        spec = specs[places[0]]
        rule = spec.rule_at(ops, step)
        rate = ops.cast(eta, spec.dtype)
        first = next(iter(measured[places[0]]))
        order += places
        if spec.axis is not None:
            (place,) = places
            values = {name: x.value(ops) for name, x in measured[place].items()}
            sigmas[place] = rule.sigma(ops, values, rate)
            is_finite.append(ops.reshape(ops.all(ops.isfinite(values[first])), (1,)))
            continue
        values = {name: ops.stack([measured[i][name].value(ops) for i in places]) for name in measured[places[0]]}
        is_finite.append(ops.isfinite(values[first]))
        if rule.initial_state is not None and rule_state is not None:
            totals = _compute_totals(ops, specs, own, spec)
            indices = [specs[i].index for i in places]
            state = ops.cast(ops.take(rule_state, indices, axis=0), spec.dtype)
            sigma, state = rule.sigma_and_state(ops, values, totals, state, step)
            rule_state = ops.scatter_update(
                rule_state, [[index] for index in indices], ops.cast(state, rule_state.dtype)
            )
        else:
            if rule.granularity == "global":
                totals = _compute_totals(ops, specs, own, spec)
                values = {name: ops.ones_like(value) * totals[name] for name, value in values.items()}
            sigma = rule.sigma(ops, values, rate)
        for i, factor in zip(places, ops.unstack(sigma, len(places)), strict=True):
            sigmas[i] = factor
    # Back from the order of the groups to that of the variables.
    back = sorted(range(len(order)), key=order.__getitem__)
    return Factors(sigmas, ops.take(ops.concatenate(is_finite, axis=0), back, axis=0), rule_state)


def _group_by_rule(specs: Sequence[VariableSpec]) -> list[list[int]]:
    """Places of variables whose factors are computed as one vector; a variable with many factors is by itself."""
    groups: dict[tuple[Rule, str, int | None], list[int]] = {}
    for i, spec in enumerate(specs):
        groups.setdefault((spec.rule, spec.dtype, None if spec.axis is None else i), []).append(i)
    return list(groups.values())


def _compute_totals(
    ops: Any, specs: Sequence[VariableSpec], measured: Sequence[Reductions], like: VariableSpec
) -> dict[str, Tensor]:
    """The reductions over all variables with the rule of ``like``, joined in their widest dtype."""
    together = [(spec, x) for spec, x in zip(specs, measured, strict=True) if spec.rule == like.rule]
    widest = max(spec.dtype for spec, _ in together)
    totals = {}
    for name, reduction in together[0][1].items():
        cast = [type(reduction)(*(ops.cast(number, widest) for number in x[name])) for _, x in together]
        totals[name] = ops.cast(type(reduction).join(ops, cast).value(ops), like.dtype)
    return totals


def _join_shards(ops: Any, specs: Sequence[VariableSpec], measured: Sequence[Reductions]) -> Sequence[Reductions]:
    """The reductions of each shard's whole table.

    A row lies in one shard, and a norm over all variables contains all shards; neither is joined here.
    """
    tables: dict[Hashable, list[int]] = {}
    for i, spec in enumerate(specs):
        tables.setdefault(spec.table, []).append(i)
    joined = list(measured)
    for places in tables.values():
        if len(places) == 1 or specs[places[0]].rule.granularity in ("row", "global"):
            continue
        whole = {
            name: type(reduction).join(ops, [measured[i][name] for i in places])
            for name, reduction in measured[places[0]].items()
        }
        for i in places:
            joined[i] = whole
    return joined

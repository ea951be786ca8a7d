"""From the measures of all variables to their factors: one rule for each group, shards put together, norms over all."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from .clipping import AdaGC, Rule, Tensor
from .parts import Part

Measures = Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Factors:
    """What the rules say of one step.

    Attributes:
      sigmas: The factor of each part: a scalar, or broadcastable to what its gradient touches.
      sound: For each part whether its gradient is finite, ``[parts]``.
      gammas: What AdaGC keeps, after this step, ``[variables]``; None without AdaGC.
    """

    sigmas: list[Tensor]
    sound: Tensor
    gammas: Tensor | None


def combine(
    ops: Any, parts: Sequence[Part], measured: Sequence[Measures], step: Tensor, eta: Tensor, gammas: Tensor | None
) -> Factors:
    """Applies each part's rule.

    Args:
      ops: The namespace, see :mod:`.parts`.
      parts: The variables of the step.
      measured: For each part the measures of its rule.
      step: The optimizer's step.
      eta: The learning rate.
      gammas: What AdaGC keeps, ``[variables]``.
    """
    own, measured = measured, _over_shards(ops, parts, measured)
    sigmas: list[Tensor] = [None] * len(parts)
    order: list[int] = []
    sound: list[Tensor] = []
    groups: dict[Hashable, list[int]] = {}
    for i, part in enumerate(parts):
        # A part with many factors stands for itself; the others of a rule are computed as one vector.
        groups.setdefault((part.rule, part.dtype, None if part.axis is None else i), []).append(i)
    for places in groups.values():
        some = parts[places[0]]
        rule, rate = some.rule_at(ops, step), ops.cast(eta, some.dtype)
        first = rule.measures[0]
        if some.axis is not None:
            (place,) = places
            sigmas[place] = rule.sigma(ops, measured[place], rate)
            sound.append(ops.reshape(ops.all(ops.isfinite(measured[place][first])), (1,)))
        else:
            together = {what: ops.stack([measured[i][what] for i in places]) for what in rule.measures}
            sound.append(ops.isfinite(together[first]))
            if isinstance(rule, AdaGC):
                total = ops.cast(_total(ops, parts, own, some.rule, "gradient"), some.dtype)
                indices = [parts[i].index for i in places]
                found, gammas = _adagc(ops, rule, together["gradient"], total, gammas, indices, step)
            else:
                if rule.granularity == "global":
                    totals = {what: _total(ops, parts, own, some.rule, what) for what in rule.measures}
                    together = {
                        what: ops.ones_like(each) * ops.cast(totals[what], some.dtype)
                        for what, each in together.items()
                    }
                found = rule.sigma(ops, together, rate)
            for i, sigma in zip(places, ops.unstack(found, len(places)), strict=True):
                sigmas[i] = sigma
        order += places
    # Back from the order of the groups to that of the parts.
    back = sorted(range(len(order)), key=order.__getitem__)
    return Factors(sigmas, ops.take(ops.concatenate(sound, axis=0), back, axis=0), gammas)


def _total(ops: Any, parts: Sequence[Part], measured: Sequence[Measures], rule: Rule, what: str) -> Tensor:
    """A measure summed over all variables that a rule holds for, in the widest of their dtypes."""
    held = [(part, measures) for part, measures in zip(parts, measured, strict=True) if part.rule == rule]
    widest = max(part.dtype for part, _ in held)
    return ops.sum(ops.stack([ops.cast(measures[what], widest) for _, measures in held]))


def _adagc(
    ops: Any, rule: AdaGC, squares: Tensor, total: Tensor, gammas: Tensor, indices: Sequence[int], step: Tensor
) -> tuple[Tensor, Tensor]:
    own = ops.cast(ops.take(gammas, indices, axis=0), squares.dtype)
    sigma, after = rule.sigma_and_gamma(ops, ops.sqrt(squares), ops.sqrt(total), own, step)
    return sigma, ops.scatter_update(gammas, [[index] for index in indices], ops.cast(after, gammas.dtype))


def _over_shards(ops: Any, parts: Sequence[Part], measured: Sequence[Measures]) -> Sequence[Measures]:
    """For each shard the measures of its whole table. Rows lie in one shard each; a norm over everything takes all anyway."""
    tables: dict[Hashable, list[int]] = {}
    for i, part in enumerate(parts):
        tables.setdefault(part.table, []).append(i)
    whole = list(measured)
    for places in tables.values():
        rule = parts[places[0]].rule
        if len(places) == 1 or rule.granularity in ("row", "global"):
            continue
        for what in rule.measures:
            values = ops.stack([measured[i][what] for i in places])
            total = ops.max(values, axis=0) if what in ("demand", "sanity") else ops.sum(values, axis=0)
            for i in places:
                whole[i] = {**whole[i], what: total}
    return whole

"""One step over many variables, for any backend: what is fixed of each variable, its measures and its change.

``ops`` is a namespace with NumPy's names: ``keras.ops`` for Keras 3, :class:`.kernels.Ops` for TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from . import clipping
from .clipping import Frame, Rule, Tensor

# Coordinates of a block: a megabyte of float32, which a core's second cache holds.
_BLOCK = 1 << 18


@dataclasses.dataclass(frozen=True)
class Part:
    """One variable of a step: what is fixed when the step is traced.

    Attributes:
      index: Place of the variable among those that the optimizer was built for.
      table: Tells the variable, or the sharded variable that it is a part of.
      rule: The rule that holds for it.
      frame: Adagrad's side.
      sparse: Whether the gradient comes in rows.
      rank: Axes of the variable.
      dtype: In which the step is computed: ``float32`` or ``float64``.
      explained: Whether the demands of its rows are wanted beside the measures, to find the coordinate that binds.
      block: Rows that are measured at once; it divides their number. None for all.
    """

    index: int
    table: Hashable
    rule: Rule
    frame: Frame
    sparse: bool
    rank: int
    dtype: str
    explained: bool = False
    block: int | None = None

    @property
    def axis(self) -> tuple[int, ...] | None:
        """The axes over which the measures are reduced; None for all, to a scalar."""
        if self.rule.granularity == "row" and self.rank:
            return tuple(range(1, self.rank))
        if self.rule.granularity == "unit" and self.rank > 1:
            return tuple(range(self.rank - 1))
        return None

    def rule_at(self, ops: Any, step: Tensor) -> Rule:
        """The rule with its scheduled thresholds as they are at a step."""
        return self.rule.at(step, lambda value: ops.cast(value, self.dtype))


class Touched(NamedTuple):
    """What a gradient touches, in the dtype in which the step is computed; all of one shape, ``[rows, ...]`` if sparse.

    Attributes:
      w: Weights.
      g: Gradient.
      accumulator: Accumulator.
    """

    w: Tensor
    g: Tensor
    accumulator: Tensor


def measure(ops: Any, parts: Sequence[Part], touched: Sequence[Touched], step: Tensor) -> list[dict[str, Tensor]]:
    """The measures of each part's rule, by their names; for a part that is to be explained, also what that takes.

    The latter are ``gradient``, ``parameter`` and, where sigma scales the step, ``direction``; and under Clippy ``rows``, the
    largest demand of each row; where it is measured in blocks, of each row of a block, in whichever block.
    """
    return [_measure(ops, part, part.rule_at(ops, step), values) for part, values in zip(parts, touched, strict=True)]


def _measure(ops: Any, part: Part, rule: Rule, values: Touched) -> dict[str, Tensor]:
    wanted = dict.fromkeys(rule.measures)
    if part.explained:
        wanted |= dict.fromkeys(
            ("gradient", "parameter") if rule.scales_gradient else ("gradient", "parameter", "direction")
        )

    def of_all(*arrays: Tensor) -> tuple[Tensor, ...]:
        return tuple(clipping.by_coordinate(ops, what, part.frame, rule, *arrays) for what in wanted)

    def put_together(some: Sequence[Tensor], others: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(clipping.joined(ops, *each) for each in zip(wanted, some, others, strict=True))

    found = folded(ops, part, of_all, put_together, *values) if part.axis is None else of_all(*values)
    by_name = dict(zip(wanted, found, strict=True))
    measures = {}
    if part.explained and isinstance(rule, clipping.Clippy) and part.rank > 1:
        inner = tuple(range(1, part.rank))
        by_row = clipping.reduced(ops, "demand", part.frame, rule, by_name.pop("demand"), inner)
        rows = ops.reshape(by_row, (-1,))
        measures = {"demand": by_row if part.axis else clipping.largest(ops, rows), "rows": rows}
    return measures | {
        what: clipping.reduced(ops, what, part.frame, rule, each, part.axis) for what, each in by_name.items()
    }


def folded(
    ops: Any, part: Part, function: Callable[..., Any], put_together: Callable[..., Any], *arrays: Tensor
) -> Any:
    """An element-wise function of arrays, its values for all blocks of rows put together; as large as one block.

    A reduction of it over all coordinates gives what a reduction of all values would. XLA's CPU backend writes the values out
    before it reduces them: those of a block stay in the processor's cache. The function may return several arrays.
    """
    if part.block is None:
        return function(*arrays)
    shape = arrays[0].shape

    def of_block(place: Any) -> Any:
        start = (place * part.block, *([0] * (part.rank - 1)))
        return function(*(ops.slice(x, start, (part.block, *shape[1:])) for x in arrays))

    return ops.fori_loop(
        1, shape[0] // part.block, lambda place, values: put_together(values, of_block(place)), of_block(0)
    )


def block_of(shape: Sequence[int]) -> int | None:
    """The rows that a variable of this shape is best measured by; None for all at once."""
    most = _BLOCK // max(1, math.prod(shape[1:]))
    if len(shape) == 0 or most < 1 or shape[0] <= most:
        return None
    # A divisor, so that no block is a smaller one; one that is much smaller is not worth its loop.
    return next((rows for rows in range(most, most // 4, -1) if shape[0] % rows == 0), None)


def changes(
    ops: Any,
    part: Part,
    touched: Touched,
    *,
    sigma: Tensor,
    eta: Tensor,
    sound: Tensor,
    clip_accumulator: bool = False,
) -> tuple[Tensor, Tensor]:
    """What the step adds to a part's weights and to its accumulator, in the part's dtype; see :func:`.clipping.deltas`."""
    scales_gradient = part.rule.scales_gradient
    return clipping.deltas(
        ops,
        part.frame,
        *touched,
        eta=ops.cast(eta, part.dtype),
        before=sigma if scales_gradient else None,
        after=None if scales_gradient or isinstance(part.rule, clipping.NoClipping) else sigma,
        accumulated=sigma if clip_accumulator else None,
        at_most_one=not isinstance(part.rule, clipping.Lamb),
        sound=sound,
    )

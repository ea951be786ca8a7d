"""What a step knows of one variable: its constants, and the arrays that its gradient touches."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any, NamedTuple

from .adagrad_parameters import AdagradParameters
from .reductions import Axis, Tensor
from .rule import Rule
from .rules.none import NoClipping


@dataclasses.dataclass(frozen=True)
class VariableSpec:
    """The constants of a variable, known when the step is traced.

    Attributes:
      index: Place of the variable among those for which the optimizer was built.
      table: Identifies the variable, or the sharded variable to which this shard belongs.
      rule: The rule of the variable.
      adagrad: Adagrad's side.
      is_sparse: Whether the gradient holds some rows only.
      rank: Number of axes.
      dtype: Dtype in which the step is computed: ``float32`` or ``float64``.
      explain: Whether the step keeps norms and the binding coordinate of this variable.
      block_rows: Rows that are measured at once, a divisor of their number; None for all.
    """

    index: int
    table: Hashable
    rule: Rule
    adagrad: AdagradParameters
    is_sparse: bool
    rank: int
    dtype: str
    explain: bool = False
    block_rows: int | None = None

    @property
    def axis(self) -> Axis:
        """The axes over which the rule's reductions run; None for all, to a scalar."""
        if self.rule.granularity == "row" and self.rank:
            return tuple(range(1, self.rank))
        if self.rule.granularity == "unit" and self.rank > 1:
            return tuple(range(self.rank - 1))
        return None

    @property
    def clips(self) -> bool:
        """Whether the rule ever changes a step."""
        return not isinstance(self.rule, NoClipping)

    def rule_at(self, ops: Any, step: Tensor) -> Rule:
        """The rule with the values that its scheduled thresholds have at a step."""
        return self.rule.at(step, lambda value: ops.cast(value, self.dtype))


class Operands(NamedTuple):
    """The arrays that a gradient touches, in the dtype of the step and of one shape: ``[rows, ...]`` if the gradient is sparse.

    Attributes:
      w: Weights.
      g: Gradient.
      accumulator: The accumulator before the step.
    """

    w: Tensor
    g: Tensor
    accumulator: Tensor

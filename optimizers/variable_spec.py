"""A variable as a step sees it: its constants, and the arrays that the step reads."""

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
    """The constants of a variable, which are known when the step is traced.

    Attributes:
      index: Index of the variable in the list with which the optimizer was built.
      table: Identifies the variable. All shards of a sharded variable have the same value.
      rule: The rule of the variable.
      adagrad: The constants in Adagrad's formulas.
      is_sparse: Whether the gradient contains only some rows.
      rank: Number of axes.
      dtype: Dtype in which the step is computed: ``float32`` or ``float64``.
      explain: Whether the step records an explanation of this variable.
      block_rows: Number of rows per block in which the variable is measured, a divisor of its number of rows; None: one
        block.
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
        """The axes over which the rule reduces; None for all axes, to a scalar."""
        if self.rule.granularity == "row" and self.rank:
            return tuple(range(1, self.rank))
        if self.rule.granularity == "unit" and self.rank > 1:
            return tuple(range(self.rank - 1))
        return None

    @property
    def clips(self) -> bool:
        """Whether the rule can change a step."""
        return not isinstance(self.rule, NoClipping)

    def rule_at(self, ops: Any, step: Tensor) -> Rule:
        """Returns the rule with each scheduled threshold replaced by its value at a step."""
        return self.rule.at(step, lambda value: ops.cast(value, self.dtype))


class Operands(NamedTuple):
    """The arrays that a step reads, all of one shape and in the dtype of the step.

    For a dense gradient they have the shape of the variable. For a sparse gradient they contain only its rows, ``[rows,
    ...]``.

    Attributes:
      w: Weights.
      g: Gradient.
      accumulator: The accumulator before the step.
    """

    w: Tensor
    g: Tensor
    accumulator: Tensor

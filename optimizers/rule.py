"""The base class of the rules in :mod:`steadyrank.optimizers.rules`, and the helpers that their formulas share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from .coordinates import Coordinates, is_real
from .reductions import Quantity, Tensor

Threshold: TypeAlias = "float | Callable[[Any], Any]"
"""A number of 0 or more, or a schedule: a function of the step."""
Granularity: TypeAlias = Literal["variable", "row", "unit", "global"]
Order: TypeAlias = Literal["before", "after"]
ReductionValues: TypeAlias = "Mapping[str, Tensor]"
"""The values of a rule's reductions, by name: a scalar each, or the values of many variables as a vector."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """Bounds the steps of Adagrad by a factor sigma.

    A rule is a frozen dataclass whose fields are its options. :meth:`measure` names the reductions of w, g and r that
    the rule needs, and :meth:`sigma` computes sigma from their values. A rule does not depend on variables, optimizers
    or distribution strategies. It therefore works in Keras 2 and Keras 3, on dense and sparse gradients, and on sharded
    variables.

    Fields that are annotated ``Threshold`` must be finite numbers of 0 or more, or schedules. A rule that has a field
    ``granularity`` or ``order`` names the values it accepts in :attr:`granularities` or :attr:`orders`.

    Attributes:
      name: Name in configurations; equals the name of the rule's module.
      formula: The formula of sigma in the paper's notation, for the documentation.
      reference: Authors and year of the publication.
      granularities: The values that ``granularity`` accepts. One sigma is shared by a ``variable``, a ``row`` (an index
        of the first axis), a ``unit`` (an index of the last axis), or all variables with this rule (``global``).
      orders: The values that ``order`` accepts. Sigma scales the gradient ``before`` the accumulator takes it (``g <-
        sigma * g``), or the step ``after`` that (``w <- w - sigma * eta * r``).
      never_grows: Whether sigma is at most 1. If not, the optimizer bounds each step once more, so that no weight
        overflows.
      initial_state: For a rule with memory, the number that it keeps for each variable before the first step; otherwise
        None.

    Raises:
      ValueError: If an option is out of range.
    """

    name: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable",)
    orders: ClassVar[tuple[Order, ...]] = ("after",)
    never_grows: ClassVar[bool] = False
    initial_state: ClassVar[float | None] = None

    # Not annotated, so that they are class attributes. They become options only if a rule declares them as fields.
    granularity = "variable"
    order = "after"

    def __post_init__(self) -> None:
        for name in self.thresholds():
            value = getattr(self, name)
            if not callable(value) and not (is_real(value) and 0 <= float(value) < math.inf):
                raise ValueError(
                    f"{self.name}: {name} must be a finite number of 0 or more, or a schedule, got {value!r}"
                )
        for name, choices in (("granularity", self.granularities), ("order", self.orders)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{self.name}: {name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """Returns the reductions that the rule needs, by name, each over one number per coordinate.

        They must be finite for every finite gradient, because the optimizer detects a bad gradient by a first reduction
        that is not.

        Args:
          ops: A namespace with NumPy's names, such as ``keras.ops``.
          x: The coordinates ``w``, ``g``, ``G`` and ``r`` of a variable.
        """
        raise NotImplementedError(f"{type(self).__name__} must define measure")

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """Computes sigma from the values of the reductions and the learning rate."""
        raise NotImplementedError(f"{type(self).__name__} must define sigma")

    def sigma_and_state(
        self, ops: Any, values: ReductionValues, totals: ReductionValues, state: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Computes sigma and the next state; replaces :meth:`sigma` in a rule that sets :attr:`initial_state`.

        Args:
          ops: A namespace with NumPy's names.
          values: The values of the reductions for V variables, ``[V]`` each.
          totals: The values of the reductions over all V variables together, scalars.
          state: The state of each variable, ``[V]``.
          step: The step, counted from 0.
        """
        raise NotImplementedError(f"{type(self).__name__} must define sigma_and_state")

    def at(self, step: Tensor, cast: Callable[[Any], Tensor]) -> Rule:
        """Returns the rule with each schedule replaced by its value at a step, passed through ``cast``."""
        scheduled = {
            name: cast(getattr(self, name)(step)) for name in self.thresholds() if callable(getattr(self, name))
        }
        if not scheduled:
            return self
        resolved = object.__new__(type(self))
        for field in dataclasses.fields(self):
            object.__setattr__(resolved, field.name, scheduled.get(field.name, getattr(self, field.name)))
        return resolved

    def get_config(self) -> dict[str, Any]:
        """Returns the rule's name and options. Schedules are not serialized."""
        return {"rule": self.name} | {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def thresholds(cls) -> tuple[str, ...]:
        """Returns the names of the fields that are annotated ``Threshold``."""
        return tuple(field.name for field in dataclasses.fields(cls) if field.type in ("Threshold", Threshold))


def ratio_up_to_one(ops: Any, allowed: Any, size: Tensor) -> Tensor:
    """Computes ``min(1, allowed / size)``; 1 if the size is 0."""
    is_positive = size > 0
    one = ops.ones_like(size)
    return ops.where(is_positive, ops.minimum(allowed / ops.where(is_positive, size, one), one), one)

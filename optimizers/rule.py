"""The base class of the rules in :mod:`steadyrank.optimizers.rules`, and what their formulas share."""

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
Measured: TypeAlias = "Mapping[str, Tensor]"
"""The values of a rule's reductions, by name. Element-wise: the values of many variables may be stacked."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """Bounds the steps of Adagrad by a factor sigma.

    A rule is a frozen dataclass: its fields are its options. It states which reductions of w, g and r it reads
    (:meth:`measure`) and how sigma follows from them (:meth:`sigma`). It knows no variable, no optimizer and no strategy, so it
    works in Keras 2 and Keras 3, on dense and sparse gradients, and on variables in shards.

    Fields that are annotated ``Threshold`` must be finite numbers of 0 or more, or schedules. A rule that has a field
    ``granularity`` or ``order`` names the values it accepts in :attr:`granularities` or :attr:`orders`.

    Attributes:
      name: Name in configurations: that of the rule's module.
      formula: sigma, in the notation of the paper, for the documentation.
      reference: The publication.
      granularities: What may share one sigma: a ``variable``, a ``row`` (an index of the first axis), a ``unit`` (an index of the
        last axis), or all variables of the rule together (``global``).
      orders: Whether sigma scales the gradient ``before`` the accumulator takes it (``g <- sigma * g``), or the step ``after``
        (``w <- w - sigma * eta * r``).
      never_grows: Whether sigma is at most 1; steps of other rules are bounded once more, so that no weight overflows.
      initial_state: The number that the rule keeps for each variable before the first step; None for a rule without memory.

    Raises:
      ValueError: When an option is out of its range.
    """

    name: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable",)
    orders: ClassVar[tuple[Order, ...]] = ("after",)
    never_grows: ClassVar[bool] = False
    initial_state: ClassVar[float | None] = None

    # Without annotations, so that these are no options unless a rule declares them as its fields.
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
        """The reductions that the rule reads, by name, each from one number for each coordinate.

        They must be finite for every finite gradient: the first one also carries the mark of a bad gradient.

        Args:
          ops: A namespace with NumPy's names, such as ``keras.ops``.
          x: The coordinates ``w``, ``g``, ``G`` and ``r`` of a variable.
        """
        raise NotImplementedError(f"{type(self).__name__} must define measure")

    def sigma(self, ops: Any, measured: Measured, eta: Tensor) -> Tensor:
        """The factor, from the values of the reductions and the learning rate."""
        raise NotImplementedError(f"{type(self).__name__} must define sigma")

    def sigma_and_state(
        self, ops: Any, measured: Measured, totals: Measured, state: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """For rules with :attr:`initial_state`, in place of :meth:`sigma`: the factors, and the state after the step.

        Args:
          ops: A namespace with NumPy's names.
          measured: The values of the reductions for V variables, ``[V]`` each.
          totals: The reductions over all these variables together, scalars.
          state: The state of each variable, ``[V]``.
          step: The step, counted from 0.
        """
        raise NotImplementedError(f"{type(self).__name__} must define sigma_and_state")

    def at(self, step: Tensor, cast: Callable[[Any], Tensor]) -> Rule:
        """The rule with the values that its scheduled thresholds have at a step, each passed through ``cast``."""
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
        """The rule's name and options; schedules as they are."""
        return {"rule": self.name} | {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def thresholds(cls) -> tuple[str, ...]:
        """The fields that are annotated ``Threshold``."""
        return tuple(field.name for field in dataclasses.fields(cls) if field.type in ("Threshold", Threshold))


def ratio_up_to_one(ops: Any, allowed: Any, size: Tensor) -> Tensor:
    """``min(1, allowed / size)``; 1 for a size of 0."""
    is_positive = size > 0
    one = ops.ones_like(size)
    return ops.where(is_positive, ops.minimum(allowed / ops.where(is_positive, size, one), one), one)

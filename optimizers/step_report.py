"""What an optimizer reports of its steps, the same in Keras 2 and Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import explanations, step_plan
from .explanations import Explanation
from .rule import Rule
from .settings import Settings
from .step_plan import State


class StepReport:
    """Reads counts of skipped steps, and explanations, from the state of an optimizer.

    An optimizer that inherits from it sets the attributes below when it is built.
    """

    _settings: Settings
    _names: Sequence[str]
    _shapes: Sequence[tuple[int, ...]]
    _rules: Sequence[Rule]
    _state: State

    def _is_built(self) -> bool:
        raise NotImplementedError

    def _read_value(self, variable: Any) -> np.ndarray:
        """The value of a variable of the state."""
        raise NotImplementedError

    @property
    def explain(self) -> bool:
        """Whether the optimizer keeps what :meth:`read_explanations` returns."""
        return self._settings.explain

    @property
    def skipped_steps(self) -> int:
        """Number of steps that were skipped because of a bad gradient, since the optimizer was created."""
        return int(self._read_value(self._state.counts)[step_plan.SKIPPED]) if self._is_built() else 0

    def read_nonfinite_gradients(self) -> dict[str, int]:
        """How often the gradient of each variable was bad, by the variable's name; only variables with a bad gradient."""
        if not self._is_built():
            return {}
        counts = self._read_value(self._state.counts)[step_plan.PER_VARIABLE :]
        names = make_unique(self._names)
        return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

    def read_explanations(self, reset: bool = True) -> dict[str, Explanation]:
        """What happened to each variable since the last call, by the variable's name (in Keras 3, its path).

        Variables without a rule have a factor of 1 and their norms.

        Args:
          reset: Whether to start over after reading. Default True.

        Raises:
          ValueError: When the optimizer was created without ``explain=True``.
        """
        if not self._settings.explain:
            raise ValueError(
                "read_explanations needs an optimizer with explain=True (for ClippyAdagrad, export_clipping_factors=True)"
            )
        if not self._is_built():
            return {}
        variables = (self._state.numbers, self._state.integers)
        numbers, integers = (self._read_value(variable) for variable in variables)
        if reset:
            for variable, value in zip(variables, explanations.make_empty(len(self._names)), strict=True):
                variable.assign(value)
        names, rules = make_unique(self._names), [rule.name for rule in self._rules]
        return {
            name: explanations.make_explanation(*entry)
            for name, *entry in zip(names, rules, numbers, integers, self._shapes, strict=True)
        }


def make_unique(names: Sequence[str]) -> list[str]:
    """The names, with ``#`` and the place appended to those that occur more than once.

    Example:
    >>> make_unique(["kernel", "bias", "kernel"])
    ['kernel#0', 'bias', 'kernel#2']
    """
    return [name if list(names).count(name) == 1 else f"{name}#{place}" for place, name in enumerate(names)]

"""Reports on the steps of an optimizer, for Keras 2 and Keras 3."""

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
    """Reads the counts of skipped steps and the explanations from the state of an optimizer.

    A subclass must set the attributes below when it is built.
    """

    _settings: Settings
    _names: Sequence[str]
    _shapes: Sequence[tuple[int, ...]]
    _rules: Sequence[Rule]
    _state: State

    def _is_built(self) -> bool:
        raise NotImplementedError

    def _read_value(self, variable: Any) -> np.ndarray:
        """Returns the value of a state variable."""
        raise NotImplementedError

    @property
    def explain(self) -> bool:
        """Whether the optimizer records the explanations that :meth:`read_explanations` returns."""
        return self._settings.explain

    @property
    def skipped_steps(self) -> int:
        """Number of steps that were skipped because of a bad gradient, since the optimizer was created."""
        return int(self._read_value(self._state.counts)[step_plan.SKIPPED]) if self._is_built() else 0

    def read_nonfinite_gradients(self) -> dict[str, int]:
        """Returns the number of bad gradients by variable name. Variables without bad gradients are left out."""
        if not self._is_built():
            return {}
        counts = self._read_value(self._state.counts)[step_plan.PER_VARIABLE :]
        names = make_unique(self._names)
        return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

    def read_explanations(self, reset: bool = True) -> dict[str, Explanation]:
        """Returns the explanation of each variable since the last call, by the variable's name (in Keras 3, its path).

        The explanation of a variable without a rule has a factor of 1 and the norms.

        Args:
          reset: Whether to start over after reading. Default True.

        Raises:
          ValueError: If the optimizer was created without ``explain=True``.
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
    """Returns the names; a name that occurs more than once gets ``#`` and its position appended.

    Example:
    >>> make_unique(["kernel", "bias", "kernel"])
    ['kernel#0', 'bias', 'kernel#2']
    """
    return [name if list(names).count(name) == 1 else f"{name}#{position}" for position, name in enumerate(names)]

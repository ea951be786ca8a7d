"""What an optimizer tells of its steps, the same in Keras 2 and Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import explanations, settings, step_plan
from .explanations import Explanation
from .rule import Rule
from .settings import Settings
from .step_plan import State


class StepReport:
    """Counts of skipped steps and explanations, read from what an optimizer keeps."""

    _settings: Settings
    _names: Sequence[str]
    _shapes: Sequence[tuple[int, ...]]
    _rules: Sequence[Rule]
    _state: State

    def _is_built(self) -> bool:
        raise NotImplementedError

    def _value(self, variable: Any) -> np.ndarray:
        """What a variable of the state holds."""
        raise NotImplementedError

    @property
    def explain(self) -> bool:
        """Whether it keeps what :meth:`read_explanations` tells."""
        return self._settings.explain

    @property
    def skipped_steps(self) -> int:
        """Steps that were skipped because of a bad gradient, since the optimizer was made."""
        return int(self._value(self._state.counts)[step_plan.SKIPPED]) if self._is_built() else 0

    def read_nonfinite_gradients(self) -> dict[str, int]:
        """How often each variable's gradient was bad, by its name; only the variables for which that happened."""
        if not self._is_built():
            return {}
        counts = self._value(self._state.counts)[step_plan.PER_VARIABLE :]
        return {name: int(count) for name, count in zip(settings.unique(self._names), counts, strict=True) if count}

    def read_explanations(self, reset: bool = True) -> dict[str, Explanation]:
        """What was done to each variable since the last reading, by the variable's name (in Keras 3 its path).

        Variables that no rule clips have a factor of 1 and their norms.

        Args:
          reset: Start anew after reading.

        Raises:
          ValueError: When the optimizer was not told to explain.
        """
        if not self._settings.explain:
            raise ValueError(
                "read_explanations needs an optimizer made with explain=True (ClippyAdagrad: export_clipping_factors=True)"
            )
        if not self._is_built():
            return {}
        variables = (self._state.numbers, self._state.integers)
        kept = [self._value(variable) for variable in variables]
        if reset:
            for variable, value in zip(variables, explanations.make_empty(len(self._names)), strict=True):
                variable.assign(value)
        rules = [rule.name for rule in self._rules]
        rows = zip(settings.unique(self._names), rules, *kept, self._shapes, strict=True)
        return {name: explanations.explain(*row) for name, *row in rows}

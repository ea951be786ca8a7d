"""The Keras 3 optimizer compared with the NumPy reference, over gradients of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from steadyrank.optimizers.keras3 import Adagrad
from tests.optimizers.keras3_checks import CHECKS, dense_or_rows, tensor, variables
from tests.optimizers.reference import CASES, NAMES, WEIGHTS, Gradient
from tests.optimizers.reference_settings import EVERYTHING, SETTINGS, make_reference


class Comparison:
    """Compares an optimizer with the reference."""

    def __init__(self, setting: str, **arguments: Any):
        rule, options = SETTINGS[setting]
        self.reference = make_reference(setting)
        self.optimizer = Adagrad(rule=rule, explain=True, **options, **arguments)
        self.variables = variables()
        self.optimizer.build(self.variables)
        self._largest = [np.abs(w).max() for w in WEIGHTS]

    def step(self, where: str, gradients: Sequence[Gradient], apply: Callable[[list[Any]], None] | None = None) -> None:
        """Takes one step with both, with ``apply`` for the optimizer if tensors, and compares them."""
        gradients = dense_or_rows(gradients)
        tensors = [tensor(gradient, v) for gradient, v in zip(gradients, self.variables, strict=True)]
        (apply or self._apply)(tensors)
        self.reference.step(gradients)
        for i, name in enumerate(NAMES):
            expected = self.reference.weights[i]
            self._largest[i] = max(self._largest[i], np.abs(expected).max())
            actual, tolerance = ops.convert_to_numpy(self.variables[i]), 2e-5 * self._largest[i]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=f"{where}: weights of {name}")
            actual, expected = self.optimizer._accumulators[i], self.reference.accumulators[i]
            message = f"{where}: accumulator of {name}"
            np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=1e-4, err_msg=message)
        assert self.optimizer.skipped_steps == self.reference.skipped, f"{where}: skipped steps"
        factors, expected = self.optimizer.clipping_factors, self.reference.sigmas
        np.testing.assert_allclose(factors, expected, rtol=2e-3, atol=2e-7, err_msg=f"{where}: sigmas")

    def _apply(self, tensors: list[Any]) -> None:
        self.optimizer.apply(tensors, self.variables)

    def compare_counts(self) -> None:
        """Compares the counts of bad gradients."""
        bad = {name: count for name, count in zip(NAMES, self.reference.bad, strict=True) if count}
        assert self.optimizer.read_nonfinite_gradients() == bad


def _equals_the_reference(setting: str) -> None:
    for case, steps in CASES.items():
        compared = Comparison(setting)
        for number, gradients in enumerate(steps):
            compared.step(f"step {number} of '{case}'", gradients)
        compared.compare_counts()


for _setting in SETTINGS:
    CHECKS[f"{_setting} equals the reference in every case"] = lambda _, setting=_setting: _equals_the_reference(
        setting
    )


ONLY_JAX: dict[str, Callable[[Path], None]] = {}


def _jitted_steps_equal_the_reference(setting: str) -> None:
    import jax

    compared = Comparison(setting)
    optimizer = compared.optimizer
    step = jax.jit(optimizer.stateless_apply)

    def apply(tensors: list[Any]) -> None:
        new, kept = step([v.value for v in optimizer.variables], tensors, [v.value for v in compared.variables])
        for v, value in zip([*compared.variables, *optimizer.variables], [*new, *kept], strict=True):
            v.assign(value)

    for where, gradients in EVERYTHING:
        compared.step(where, gradients, apply)
    compared.compare_counts()


for _setting in ("gc global", "agc unit after", "lamb, delayed, decay", "clippy row", "adagc"):
    ONLY_JAX[f"{_setting} equals the reference in stateless steps under jit"] = lambda _, setting=_setting: (
        _jitted_steps_equal_the_reference(setting)
    )

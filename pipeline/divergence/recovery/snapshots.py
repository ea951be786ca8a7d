"""Stores of healthy weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from ..keras_compat import list_optimizer_variables
from ..problems import Problems
from ..weight_check import has_finite_state
from .inner_optimizers import list_inner_optimizers


class SnapshotStore(Protocol):
    """Saves and restores healthy states of a training."""

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Saves the current state if a snapshot is due and training is healthy.

        The monitor calls this after each check.
        """
        ...

    def restore(self, before: int) -> int | None:
        """Restores the newest healthy state of a step below ``before``.

        Returns its step, or None without such a state.
        """
        ...


class MemorySnapshots:
    """Keeps snapshots in the host's memory. Each takes as much memory as the weights and the optimizer's variables.

    Args:
      model: A compiled model. It must be built before the first snapshot.
      every: Smallest number of steps between two snapshots. Default 64.
      count: Number of newest snapshots to keep. Default 3.
      problems: Records variables that cannot be restored.
    """

    def __init__(self, model: Any, every: int = 64, count: int = 3, problems: Problems | None = None):
        self._model = model
        self._every = every
        self._count = count
        self._problems = Problems() if problems is None else problems
        self._snapshots: list[tuple[int, list[tuple[Any, np.ndarray]]]] = []

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Saves the current state if training is healthy, all numbers are finite, and the last snapshot is old enough."""
        is_due = not self._snapshots or step >= self._snapshots[-1][0] + self._every
        if not (is_healthy and is_due):
            return
        if has_finite_state(self._model, _list_optimizer_variables(self._model)):
            values = [(variable, _read(variable)) for variable in _list_training_variables(self._model)]
            self._snapshots = [*self._snapshots, (step, values)][-self._count :]

    def restore(self, before: int) -> int | None:
        """Restores the newest snapshot of a step below ``before`` and drops later snapshots."""
        earlier = [snapshot for snapshot in self._snapshots if snapshot[0] < before]
        if not earlier:
            return None
        self._snapshots = earlier
        step, values = earlier[-1]
        current = {id(variable) for variable in _list_training_variables(self._model)}
        for variable, value in values:
            if id(variable) in current:
                variable.assign(value)
        if len(current) > len(values):
            self._problems.record(
                f"A rollback cannot restore {len(current) - len(values)} variables, because they were created after the "
                "weights were saved."
            )
        return step


def _read(variable: Any) -> np.ndarray:
    # A mirrored variable has no value of its own, and the variables of other backends are no tensors of TensorFlow.
    is_tensorflow = isinstance(getattr(variable, "value", None), tf.Variable) or isinstance(variable, tf.Variable)
    return np.array(tf.convert_to_tensor(variable) if is_tensorflow else variable)


def _list_training_variables(model: Any) -> list[Any]:
    """Lists the variables that a step changes, without step counters, learning rates and metrics."""
    if hasattr(model, "jax_state_sync"):
        # On JAX, Keras keeps the variables elsewhere during an epoch.
        model.jax_state_sync()
    variables = [*model.weights, *_list_optimizer_variables(model)]
    excluded: set[int] = set()
    for optimizer in [*list_inner_optimizers(model), model.optimizer]:
        excluded |= {id(getattr(optimizer, name, None)) for name in ("iterations", "_learning_rate")}
        excluded |= {id(value) for value in (getattr(optimizer, "_hyper", None) or {}).values()}
    # A vocabulary of a preprocessing layer is among the weights, but it is no variable.
    distinct = {id(each): each for each in variables if hasattr(each, "assign") and hasattr(each, "dtype")}
    return [variable for key, variable in distinct.items() if key not in excluded]


def _list_optimizer_variables(model: Any) -> list[Any]:
    return [variable for optimizer in list_inner_optimizers(model) for variable in list_optimizer_variables(optimizer)]

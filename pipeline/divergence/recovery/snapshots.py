"""Stores of healthy weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from ..keras_compat import list_optimizer_variables, unwrap_optimizer
from ..weight_check import has_finite_state


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
    """

    def __init__(self, model: Any, every: int = 64, count: int = 3):
        self._model = model
        self._every = every
        self._count = count
        self._snapshots: list[tuple[int, list[np.ndarray]]] = []

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Saves the current state if training is healthy, all numbers are finite, and the last snapshot is old enough."""
        is_due = not self._snapshots or step >= self._snapshots[-1][0] + self._every
        if is_healthy and is_due and has_finite_state(self._model):
            values = [np.array(tf.convert_to_tensor(variable)) for variable in _list_training_variables(self._model)]
            self._snapshots = [*self._snapshots, (step, values)][-self._count :]

    def restore(self, before: int) -> int | None:
        """Restores the newest snapshot of a step below ``before`` and drops later snapshots."""
        earlier = [snapshot for snapshot in self._snapshots if snapshot[0] < before]
        if not earlier:
            return None
        self._snapshots = earlier
        step, values = earlier[-1]
        for variable, value in zip(_list_training_variables(self._model), values, strict=True):
            variable.assign(value)
        return step


def _list_training_variables(model: Any) -> list[Any]:
    """Lists the variables that a step changes, without step counters, learning rate and metrics."""
    optimizer = unwrap_optimizer(model.optimizer)
    variables = [*model.weights, *list_optimizer_variables(optimizer)]
    counters = {id(optimizer.iterations), id(getattr(model.optimizer, "iterations", None))}
    rate = getattr(optimizer, "_learning_rate", None)
    return [variable for variable in variables if id(variable) not in counters and variable is not rate]

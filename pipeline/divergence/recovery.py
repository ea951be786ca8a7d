"""Back to healthy weights after a full divergence, and on with more care.

A rollback takes the weights and the optimizer's memory of a time before the trouble, and goes on with the next batch: those in
between, bad ones among them, are passed over, and steps are counted on. The learning rate becomes smaller and rises to its new
height from near 0. How often, is a budget, which is saved with the monitor's state.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from .keras_compat import get_strategy, list_optimizer_variables, unwrap_optimizer


class SnapshotStore(Protocol):
    """Where healthy weights are kept."""

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Told after every look which step it is, and whether all was well; may keep what is there now."""
        ...

    def restore(self, before: int) -> int | None:
        """Puts back the newest healthy state of a step below ``before``; returns its step, None when there is none."""
        ...


class MemorySnapshots:
    """Snapshots in the host's memory: as much for each as weights and accumulators take.

    Args:
      model: A compiled model, built when the first copy is made.
      every: Steps between two copies.
      count: How many of the newest are held.
    """

    def __init__(self, model: Any, every: int = 64, count: int = 3):
        self._model = model
        self._every = every
        self._count = count
        self._held: list[tuple[int, list[np.ndarray]]] = []

    def save_if_due(self, step: int, is_healthy: bool) -> None:
        """Copies the state when it is time and all is well."""
        if is_healthy and (not self._held or step >= self._held[-1][0] + self._every):
            self._held = [*self._held, (step, [_value(v) for v in list_training_state(self._model)])][-self._count :]

    def restore(self, before: int) -> int | None:
        """Puts back the newest copy of a step below ``before``; later ones are dropped."""
        earlier = [one for one in self._held if one[0] < before]
        if not earlier:
            return None
        self._held = earlier
        step, values = earlier[-1]
        for variable, value in zip(list_training_state(self._model), values, strict=True):
            variable.assign(value)
        return step


def list_training_state(model: Any) -> list[Any]:
    """Everything that a step changes, but for the count of steps and the metrics."""
    optimizer = unwrap_optimizer(model.optimizer)
    variables = [*model.weights, *list_optimizer_variables(optimizer)]
    counters = {id(optimizer.iterations), id(getattr(model.optimizer, "iterations", None))}
    rate = getattr(optimizer, "_learning_rate", None)
    return [v for v in variables if id(v) not in counters and v is not rate]


@dataclasses.dataclass
class RollbackBudget:
    """How often a training may be rolled back, and what became of its rate.

    Attributes:
      max_rollbacks: Most rollbacks.
      learning_rate_factor: What each leaves of the learning rate.
      warmup_steps: Steps in which the rate rises again after one.
      used: Rollbacks so far.
      since: The step of the last one.
      restored: The step that it went back to.
    """

    max_rollbacks: int = 3
    learning_rate_factor: float = 0.5
    warmup_steps: int = 64
    used: int = 0
    since: int = 0
    restored: int = 0

    def __post_init__(self) -> None:
        if self.max_rollbacks < 0 or self.warmup_steps < 0:
            raise ValueError(
                f"max_rollbacks and warmup_steps must be 0 or more, got {self.max_rollbacks} and {self.warmup_steps}"
            )
        if not 0 < self.learning_rate_factor <= 1:
            raise ValueError(f"learning_rate_factor must be above 0 and at most 1, got {self.learning_rate_factor}")

    def share_at(self, step: int) -> float:
        """What is left of the learning rate for the steps after ``step``."""
        if not self.used:
            return 1.0
        risen = min(1.0, (step - self.since + 1) / max(self.warmup_steps, 1))
        return self.learning_rate_factor**self.used * risen


class LearningRateScale:
    """Makes an optimizer's learning rate a share of what it would be.

    A rate that is a variable is multiplied; a schedule is put into another one, for as long as :meth:`attach` holds.

    Args:
      model: A compiled model.
      base: Keras's class of schedules.
    """

    def __init__(self, model: Any, base: type):
        self._optimizer = unwrap_optimizer(model.optimizer)
        self._share = 1.0
        self._factor: tf.Variable | None = None
        self._schedule: Any = self._optimizer._learning_rate
        if isinstance(self._schedule, base):
            with get_strategy(model).scope():
                self._factor = tf.Variable(1.0, trainable=False, name="learning_rate_factor")
            self._scaled = _scaled(base, self._schedule, self._factor)

    def attach(self) -> None:
        """From now on, what is compiled follows the share."""
        if self._factor is not None:
            self._optimizer._learning_rate = self._scaled

    def detach(self) -> None:
        """The schedule is as it came; what was compiled goes on following the share."""
        if self._factor is not None:
            self._optimizer._learning_rate = self._schedule

    def set(self, share: float) -> None:
        """The rate becomes this share of what it would be."""
        if share == self._share:
            return
        if self._factor is not None:
            self._factor.assign(share)
        else:
            rate = self._optimizer.learning_rate
            rate.assign(_value(rate) * (share / self._share))
        self._share = share


def _scaled(base: Any, schedule: Any, factor: tf.Variable) -> Any:
    class Scaled(base):
        def __call__(self, step: Any) -> Any:
            rate = tf.convert_to_tensor(schedule(step))
            return rate * tf.cast(tf.convert_to_tensor(factor), rate.dtype)

        def get_config(self) -> dict[str, Any]:
            return schedule.get_config()

    return Scaled()


def _value(variable: Any) -> np.ndarray:
    return np.array(tf.convert_to_tensor(variable))

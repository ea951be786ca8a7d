"""Learning rate schedules."""

from __future__ import annotations

import numbers
from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable("steadyrank")
class WarmUp(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly and then follows its target.

    When to use it: always with Adagrad. Its accumulators start small, so its first steps are the largest.

    Formula: ``target(t) * min(1, (t + 1) / steps)`` in step t, counted from 0. The first step uses ``target / steps``.

    Args:
      target: The learning rate after the warm-up, a number of 0 or more, or a Keras schedule.
      steps: Number of warm-up steps; 0 for no warm-up.

    Raises:
      ValueError: If an argument is negative, or ``target`` is neither a number nor a schedule.

    Example:
    >>> from steadyrank.optimizers import WarmUp
    >>> [round(float(WarmUp(0.4, steps=4)(t)), 3) for t in range(6)]
    [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]
    """

    def __init__(self, target: float | tf_keras.optimizers.schedules.LearningRateSchedule, steps: int):
        if not callable(target) and not (isinstance(target, numbers.Real) and float(target) >= 0):
            raise ValueError(f"target must be a number of 0 or more, or a schedule, got {target!r}")
        if not steps >= 0:
            raise ValueError(f"steps must be 0 or more, got {steps!r}")
        self.target = target
        self.steps = steps

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns the learning rate of ``step``, a float32 scalar."""
        rate = self.target(step) if callable(self.target) else tf.constant(self.target, tf.float32)
        progress = (tf.cast(step, tf.float32) + 1.0) / max(self.steps, 1)
        return rate * tf.minimum(1.0, progress)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments; a schedule in Keras's serialized form."""
        target = self.target
        if callable(target):
            target = tf_keras.optimizers.schedules.serialize(target)
        return {"target": target, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Makes a schedule from the result of :meth:`get_config`."""
        target = config["target"]
        if isinstance(target, dict):
            target = tf_keras.optimizers.schedules.deserialize(target)
        return cls(target, config["steps"])


# Keras writes the class without its package to HDF5 files. A class of the user with this name has precedence.
tf_keras.utils.get_custom_objects().setdefault("WarmUp", WarmUp)

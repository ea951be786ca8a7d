"""Scales the learning rate of any Keras optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..keras_compat import get_strategy, unwrap_optimizer


class LearningRateScale:
    """Multiplies the learning rate of an optimizer by a factor that may change during training.

    A learning rate variable is multiplied in place. A schedule is wrapped in a scaled schedule while the scale is
    attached, so that a training step compiled during that time follows the factor.

    Args:
      model: A compiled model.
      schedule_class: Keras's base class of schedules.
    """

    def __init__(self, model: Any, schedule_class: type):
        self._optimizer = unwrap_optimizer(model.optimizer)
        self._factor = 1.0
        self._variable: tf.Variable | None = None
        self._schedule: Any = self._optimizer._learning_rate
        if isinstance(self._schedule, schedule_class):
            with get_strategy(model).scope():
                self._variable = tf.Variable(1.0, trainable=False, name="learning_rate_factor")
            self._scaled_schedule = _scale_schedule(schedule_class, self._schedule, self._variable)

    def attach(self) -> None:
        """Makes the optimizer follow the factor."""
        if self._variable is not None:
            self._optimizer._learning_rate = self._scaled_schedule

    def detach(self) -> None:
        """Restores the optimizer's schedule. A training step compiled before still follows the factor."""
        if self._variable is not None:
            self._optimizer._learning_rate = self._schedule

    def set_factor(self, factor: float) -> None:
        """Sets the learning rate to this multiple of the original one."""
        if factor == self._factor:
            return
        if self._variable is not None:
            self._variable.assign(factor)
        else:
            rate = self._optimizer.learning_rate
            rate.assign(np.array(tf.convert_to_tensor(rate)) * (factor / self._factor))
        self._factor = factor


def _scale_schedule(schedule_class: Any, schedule: Any, factor: tf.Variable) -> Any:
    class ScaledSchedule(schedule_class):
        def __call__(self, step: Any) -> Any:
            rate = tf.convert_to_tensor(schedule(step))
            return rate * tf.cast(tf.convert_to_tensor(factor), rate.dtype)

        def get_config(self) -> dict[str, Any]:
            return schedule.get_config()

    return ScaledSchedule()

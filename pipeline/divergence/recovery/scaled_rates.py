"""Learning rates that can be multiplied by a factor: variables, schedules and functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class ScaledRate(Protocol):
    """The learning rate of one optimizer."""

    def attach(self) -> None:
        """Makes the optimizer follow the factor."""
        ...

    def detach(self) -> None:
        """Restores what :meth:`attach` replaced."""
        ...

    def set_factor(self, factor: float) -> bool:
        """Multiplies the original rate by the factor. Returns whether a new factor needs a new training step."""
        ...


class VariableRate:
    """A learning rate in a variable, which is assigned.

    Other callbacks, such as Keras's ``LearningRateScheduler`` and ``ReduceLROnPlateau``, may assign the variable as
    well. A value that is nearer to the original rate than to the reduced one replaces the original rate, and the factor
    is applied to it. Any other value was computed from the reduced rate, so it contains the factor.

    Args:
      read: Returns the value of the variable.
      assign: Sets the value of the variable.
    """

    def __init__(self, read: Callable[[], float], assign: Callable[[float], None]):
        self._read = read
        self._assign = assign
        self._factor = 1.0
        self._original = self._assigned = math.nan

    def attach(self) -> None:
        """Does nothing."""

    def detach(self) -> None:
        """Does nothing: the variable keeps its value."""

    def set_factor(self, factor: float) -> bool:
        """Assigns the multiple of the original rate, if the factor or the variable changed."""
        if factor == self._factor == 1.0:
            return False
        value = self._read()
        if value != self._assigned:
            self._original = self._infer_original(value)
        elif factor == self._factor:
            return False
        self._assign(self._original * factor)
        self._factor, self._assigned = factor, self._read()
        return False

    def _infer_original(self, value: float) -> float:
        if math.isnan(self._assigned) or not value > 0 or not self._assigned > 0:
            return value
        is_original = abs(math.log(value / self._original)) < abs(math.log(value / self._assigned))
        return value if is_original else value / self._factor

    def get_state(self) -> list[float] | None:
        """Returns the factor, the original rate and the assigned rate; None if nothing was assigned."""
        return None if math.isnan(self._assigned) else [self._factor, self._original, self._assigned]

    def set_state(self, state: list[float] | None) -> None:
        """Does the inverse of :meth:`get_state`."""
        if state is not None:
            self._factor, self._original, self._assigned = state


class WrappedRate:
    """A schedule, or a function without arguments, which is replaced while the rate is attached.

    Args:
      replace: Sets the optimizer's rate.
      original: The schedule or function.
      schedule_class: Keras's base class of schedules.
      in_graph: Whether a compiled training step reads the factor from a variable. Otherwise, it is a number.
      is_compiled: Whether the training step is compiled.
    """

    def __init__(
        self, replace: Callable[[Any], None], original: Any, schedule_class: Any, in_graph: bool, is_compiled: bool
    ):
        self._replace = replace
        self._original = original
        self._factor = 1.0
        self._variable = tf.Variable(1.0, trainable=False, name="learning_rate_factor") if in_graph else None
        self._needs_new_step = is_compiled and not in_graph
        is_schedule = isinstance(original, schedule_class)
        self._scaled = self._scale_schedule(schedule_class) if is_schedule else lambda: self._scale(original())

    def attach(self) -> None:
        """Replaces the rate."""
        self._replace(self._scaled)

    def detach(self) -> None:
        """Restores the rate. A training step compiled before still follows the factor."""
        self._replace(self._original)

    def set_factor(self, factor: float) -> bool:
        """Sets the factor that the replacement applies."""
        if factor == self._factor:
            return False
        self._factor = factor
        if self._variable is not None:
            self._variable.assign(factor)
        return self._needs_new_step

    def _scale(self, rate: Any) -> Any:
        if self._variable is None:
            return rate * self._factor
        rate = tf.convert_to_tensor(rate)
        return rate * tf.cast(tf.convert_to_tensor(self._variable), rate.dtype)

    def _scale_schedule(self, schedule_class: Any) -> Any:
        scale, schedule = self._scale, self._original

        class ScaledSchedule(schedule_class):
            def __call__(self, step: Any) -> Any:
                return scale(schedule(step))

            def get_config(self) -> dict[str, Any]:
                return schedule.get_config()

        return ScaledSchedule()


def make_scaled_rate(optimizer: Any, schedule_class: type, in_graph: bool, is_compiled: bool) -> ScaledRate:
    """Makes the scaled rate of an optimizer of Keras 2, Keras 3 or ``tf_keras.optimizers.legacy``.

    Raises:
      TypeError: If the optimizer has no rate that can be changed.
    """
    hyperparameters: Any = getattr(optimizer, "_hyper", None)
    is_legacy = isinstance(hyperparameters, dict)
    rate: Any = hyperparameters.get("learning_rate") if is_legacy else getattr(optimizer, "_learning_rate", None)
    if isinstance(rate, schedule_class) or (callable(rate) and not hasattr(rate, "assign")):

        def replace(new: Any) -> None:
            if is_legacy:
                hyperparameters["learning_rate"] = new
            else:
                optimizer._learning_rate = new

        return WrappedRate(replace, rate, schedule_class, in_graph, is_compiled)
    # Legacy optimizers create the variable when the rate is first read.
    rate = getattr(optimizer, "learning_rate", None)
    if not hasattr(rate, "assign"):
        raise TypeError(f"the learning rate is a {type(rate).__name__}, which cannot be changed")
    return VariableRate(lambda: read_rate(optimizer.learning_rate), rate.assign)


def read_rate(rate: Any) -> float:
    """Returns the value of a variable."""
    return float(np.array(tf.convert_to_tensor(rate) if isinstance(rate, tf.Variable) else rate))

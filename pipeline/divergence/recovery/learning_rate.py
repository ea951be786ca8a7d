"""Scales the learning rates of any Keras model."""

from __future__ import annotations

from typing import Any

from ..keras_compat import get_strategy, runs_in_tensorflow
from ..problems import Problems
from .inner_optimizers import list_inner_optimizers
from .scaled_rates import ScaledRate, VariableRate, make_scaled_rate


class LearningRateScale:
    """Multiplies the learning rates of all optimizers of a model by a factor that may change during training.

    A learning rate variable is assigned. A schedule or a function is wrapped while the scale is attached, so that a
    training step compiled during that time follows the factor. On JAX, a compiled step contains the factor as a
    constant, so the model compiles its step again after a rollback, and the rate has no warm-up.

    Args:
      model: A compiled model.
      schedule_class: Keras's base class of schedules.
      problems: Records optimizers whose rate cannot be changed.
    """

    def __init__(self, model: Any, schedule_class: type, problems: Problems):
        self._model = model
        self._optimizers = list_inner_optimizers(model)
        self._rates: list[ScaledRate] = []
        self._factor = 1.0
        # On JAX, Keras keeps the variables elsewhere during an epoch.
        self._synchronize = getattr(model, "jax_state_sync", None)
        in_graph = runs_in_tensorflow(model)
        self._has_constant_factor = self._synchronize is not None
        with get_strategy(model).scope():
            for optimizer in self._optimizers:
                with problems.guard(f"change the learning rate of the optimizer {type(optimizer).__name__}"):
                    rate = make_scaled_rate(optimizer, schedule_class, in_graph, self._has_constant_factor)
                    self._rates.append(rate)

    @property
    def is_empty(self) -> bool:
        """Whether no rate can be changed."""
        return not self._rates

    @property
    def has_no_warmup(self) -> bool:
        """Whether rates change without a warm-up."""
        return self._has_constant_factor and self.has_wrapped_rates

    def fits(self, model: Any) -> bool:
        """Returns whether the scale belongs to the optimizers that a model has now."""
        current = list_inner_optimizers(model)
        return self._model is model and [id(each) for each in current] == [id(each) for each in self._optimizers]

    def attach(self) -> None:
        """Makes the optimizers follow the factor."""
        for rate in self._rates:
            rate.attach()

    def detach(self) -> None:
        """Restores schedules and functions. A training step compiled before still follows the factor."""
        for rate in self._rates:
            rate.detach()

    @property
    def has_wrapped_rates(self) -> bool:
        """Whether a training step that was compiled before does not follow the factor."""
        return any(not isinstance(rate, VariableRate) for rate in self._rates)

    def set_factor(self, factor: float, final_factor: float) -> None:
        """Sets the learning rates to this multiple of the original ones.

        Args:
          factor: The factor.
          final_factor: The factor after the warm-up, for rates that have no warm-up.
        """
        if self._synchronize is not None:
            if factor == self._factor and not getattr(self._model, "_jax_state_synced", True):
                return
            self._synchronize()
        self._factor = factor
        needs_new_step = False
        for rate in self._rates:
            is_variable = isinstance(rate, VariableRate)
            needs_new_step |= rate.set_factor(factor if is_variable or not self._has_constant_factor else final_factor)
        if needs_new_step and getattr(self._model, "train_function", None) is not None:
            self._model.make_train_function(force=True)

    def get_state(self) -> list[list[float] | None]:
        """Returns the state of each rate that is a variable, because checkpoints contain the reduced value."""
        return [rate.get_state() if isinstance(rate, VariableRate) else None for rate in self._rates]

    def set_state(self, state: list[list[float] | None]) -> None:
        """Does the inverse of :meth:`get_state`."""
        for rate, values in zip(self._rates, state, strict=False):
            if isinstance(rate, VariableRate):
                rate.set_state(values)

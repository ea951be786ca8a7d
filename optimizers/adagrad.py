"""Adagrad with Clippy, for Keras 2 (tf_keras)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from . import clipping, kernels


@dataclasses.dataclass(frozen=True)
class Clipping:
    """What clipping did to one variable.

    Attributes:
      last: The factor of the last step, in [0, 1]; 1 means that the step was taken whole.
      smallest: The smallest factor since it was last read.
      clipped_steps: Steps with a factor below 1 since it was last read.
    """

    last: float
    smallest: float
    clipped_steps: int


@tf_keras.utils.register_keras_serializable("steadyrank")
class ClippyAdagrad(tf_keras.optimizers.Optimizer):
    r"""Adagrad that never moves a weight further than a share of its size.

    When to use it: in place of Adagrad (or of another optimizer) in a multitask ranker that diverges, or that must be
    kept at a low learning rate so that it does not.

    Formula (all element-wise; one factor ``sigma`` for each variable)::

        G <- G + g^2
        r  = g / sqrt(G + epsilon)
        sigma = min(1, min_i (lambda_rel * abs(w_i) + lambda_abs) / (eta * abs(r_i)))
        w <- w - eta * sigma * r

    Reference: Tang et al., *Improving Training Stability for Multitask Ranking Models in Recommender Systems*, KDD 2023,
    Algorithm 1, https://arxiv.org/abs/2302.09178. The argument names and their order are those of
    ``tfrs.experimental.optimizers.ClippyAdagrad``; where one is left out, the value is the paper's.

    Args:
      learning_rate: eta; a number of 0 or more, or a Keras schedule. Default 0.001.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      variable_relative_threshold: lambda_rel, 0 or more. Default 0.5.
      accumulator_relative_threshold: Adds this multiple of ``1 / sqrt(G + epsilon)`` to what a coordinate may move; not
        in the paper. Default 0.
      absolute_threshold: lambda_abs, 0 or more. Default 1e-2. With 0, a weight that is 0 can never move, and since the
        smallest factor counts, neither can its variable.
      epsilon: Keeps the root away from 0. Default 1e-7.
      export_clipping_factors: Keep, for each variable, the factors that :meth:`read_clipping` returns, and the last ones
        in the attribute ``clipping_factors``, in the order of the variables. Default False.
      clip_accumulator_update: The accumulator takes ``(sigma * g)^2`` in place of ``g^2``; only with
        ``use_standard_accumulator_update=False``. Default False.
      use_standard_accumulator_update: The accumulator takes the gradient before r is formed, as in the paper. With False
        r is formed from the accumulator of the steps before. Default True.
      name: Name of the optimizer.
      exclude_from_clipping: Regular expressions, searched in the variables' names; a variable that matches is updated by
        plain Adagrad. Default: Keras's embedding tables, since the paper clips the other variables only.
      **kwargs: As for any Keras optimizer: ``weight_decay``, ``clipnorm``, ``use_ema`` …

    Gradients may be dense or sparse (``tf.IndexedSlices``); of a sparse one the touched rows alone are read, bound
    sigma and are written. Under a distribution strategy sigma is computed from the gradient summed over the replicas.

    Raises:
      ValueError: When an argument is out of its range or contradicts another.

    Example:
    >>> w = tf.Variable([1.0, 0.0])
    >>> optimizer = ClippyAdagrad(learning_rate=1.0, export_clipping_factors=True)
    >>> optimizer.apply_gradients([(tf.constant([1.0, 10.0]), w)])  # w[1] may move by 0.01, Adagrad asks for 1.0
    >>> [round(float(factor), 4) for factor in optimizer.clipping_factors]
    [0.01]
    """

    def __init__(
        self,
        learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        variable_relative_threshold: float = 0.5,
        accumulator_relative_threshold: float = 0.0,
        absolute_threshold: float = 1e-2,
        epsilon: float = 1e-7,
        export_clipping_factors: bool = False,
        clip_accumulator_update: bool = False,
        use_standard_accumulator_update: bool = True,
        name: str = "ClippyAdagrad",
        *,
        exclude_from_clipping: Sequence[str] = ("embeddings",),
        **kwargs: Any,
    ):
        _check_number("learning_rate", learning_rate, schedule=True)
        _check_number("initial_accumulator_value", initial_accumulator_value)
        _check_number("variable_relative_threshold", variable_relative_threshold)
        _check_number("accumulator_relative_threshold", accumulator_relative_threshold)
        _check_number("absolute_threshold", absolute_threshold)
        _check_number("epsilon", epsilon)
        if clip_accumulator_update and use_standard_accumulator_update:
            raise ValueError(
                "clip_accumulator_update=True needs use_standard_accumulator_update=False: the factor is not known yet "
                "when the accumulator takes the gradient first"
            )
        if isinstance(exclude_from_clipping, str):
            raise ValueError(
                "exclude_from_clipping must be a sequence of regular expressions, got the text "
                f"{exclude_from_clipping!r}; write [{exclude_from_clipping!r}]"
            )
        # Keras takes a decay of 0 for a decay, and then rewrites every variable in full at each step.
        super().__init__(name=name, **({"weight_decay": None} | kwargs))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.initial_accumulator_value = initial_accumulator_value
        self.variable_relative_threshold = variable_relative_threshold
        self.accumulator_relative_threshold = accumulator_relative_threshold
        self.absolute_threshold = absolute_threshold
        self.epsilon = epsilon
        self.export_clipping_factors = export_clipping_factors
        self.clip_accumulator_update = clip_accumulator_update
        self.use_standard_accumulator_update = use_standard_accumulator_update
        self.exclude_from_clipping = tuple(exclude_from_clipping)
        self.clipping_factors: list[tf.Variable] = []

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the accumulators and, when asked for, what keeps the factors."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._names = [variable.name for variable in var_list]
        self._accumulators = [
            self.add_variable_from_reference(
                variable,
                "accumulator",
                initial_value=tf.fill(variable.shape, self._in(variable, self.initial_accumulator_value)),
            )
            for variable in var_list
        ]
        # After all accumulators: a checkpoint knows an optimizer's variables by their order, so what is optional comes
        # last and can be switched on or off without moving them.
        self._smallest_factors: list[tf.Variable] = []
        self._clipped_steps: list[tf.Variable] = []
        if self.export_clipping_factors:
            one = lambda v: tf.ones([], v.dtype)  # noqa: E731
            self.clipping_factors = [
                self.add_variable_from_reference(v, "clipping_factor", initial_value=one(v)) for v in var_list
            ]
            self._smallest_factors = [
                self.add_variable_from_reference(v, "smallest_clipping_factor", initial_value=one(v)) for v in var_list
            ]
            self._clipped_steps = [
                self.add_variable_from_reference(v, "clipped_steps", initial_value=tf.zeros([], v.dtype))
                for v in var_list
            ]

    def update_step(self, gradient: kernels.Gradient, variable: tf.Variable) -> None:
        """Takes one step: Algorithm 1 on the coordinates that the gradient touches."""
        index = self._index_dict[self._var_key(variable)]
        accumulator = self._accumulators[index]
        eta = tf.cast(self.learning_rate, variable.dtype)
        g = tf.cast(kernels.values(gradient), variable.dtype)

        if self.use_standard_accumulator_update:
            kernels.add(accumulator, gradient, tf.square(g))
        inverse_root = tf.math.rsqrt(kernels.read(accumulator, gradient) + self._in(variable, self.epsilon))
        # Where g is 0 so is r, also where nothing has been accumulated yet and the inverse root is infinite.
        step = eta * tf.math.multiply_no_nan(inverse_root, g)

        sigma = tf.ones([], variable.dtype)
        if self._clips(variable):
            allowed = clipping.allowed_step(
                kernels.read(variable, gradient), self.variable_relative_threshold, self.absolute_threshold
            )
            if self.accumulator_relative_threshold:
                allowed += self._in(variable, self.accumulator_relative_threshold) * inverse_root
            sigma = clipping.clippy(step, allowed)

        if not self.use_standard_accumulator_update:
            kernels.add(accumulator, gradient, tf.square(sigma * g if self.clip_accumulator_update else g))
        kernels.add(variable, gradient, -sigma * step)
        if self.export_clipping_factors:
            self._keep(index, sigma)

    def read_clipping(self, reset: bool = True) -> dict[str, Clipping]:
        """What clipping did to each clipped variable since the last reading, by the variable's name.

        Args:
          reset: Start anew after reading.

        Raises:
          ValueError: When the optimizer was made without ``export_clipping_factors=True``.
        """
        if not self.export_clipping_factors:
            raise ValueError("read_clipping needs ClippyAdagrad(export_clipping_factors=True)")
        kept = {}
        for index, name in enumerate(getattr(self, "_names", [])):
            if self._excluded(name):
                continue
            last, smallest, steps = (
                self.clipping_factors[index],
                self._smallest_factors[index],
                self._clipped_steps[index],
            )
            kept[name] = Clipping(_number(last), _number(smallest), int(_number(steps)))
            if reset:
                smallest.assign(tf.ones([], smallest.dtype))
                steps.assign(tf.zeros([], steps.dtype))
        return kept

    def get_config(self) -> dict[str, Any]:
        """All arguments: a restored optimizer equals this one."""
        own = {
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "initial_accumulator_value": self.initial_accumulator_value,
            "variable_relative_threshold": self.variable_relative_threshold,
            "accumulator_relative_threshold": self.accumulator_relative_threshold,
            "absolute_threshold": self.absolute_threshold,
            "epsilon": self.epsilon,
            "export_clipping_factors": self.export_clipping_factors,
            "clip_accumulator_update": self.clip_accumulator_update,
            "use_standard_accumulator_update": self.use_standard_accumulator_update,
            "exclude_from_clipping": list(self.exclude_from_clipping),
        }
        return super().get_config() | own

    def _keep(self, index: int, sigma: tf.Tensor) -> None:
        self.clipping_factors[index].assign(sigma)
        smallest, steps = self._smallest_factors[index], self._clipped_steps[index]
        smallest.assign(tf.minimum(smallest, sigma))
        steps.assign_add(tf.cast(sigma < 1, steps.dtype))

    def _clips(self, variable: tf.Variable) -> bool:
        return not self._excluded(variable.name)

    def _excluded(self, name: str) -> bool:
        return any(re.search(pattern, name) for pattern in self.exclude_from_clipping)

    @staticmethod
    def _in(variable: tf.Variable, value: float) -> tf.Tensor:
        # Not tf.cast, which would round the number to float32 on its way to float64.
        return tf.constant(value, variable.dtype)


def _number(variable: tf.Variable) -> float:
    # By way of a tensor, since a mirrored variable knows no float().
    return float(tf.convert_to_tensor(variable))


def _check_number(name: str, value: Any, schedule: bool = False) -> None:
    if schedule and (callable(value) or isinstance(value, (tf.Tensor, tf.Variable, dict))):
        return
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        kinds = "a finite number of 0 or more" + (" or a schedule" if schedule else "")
        raise ValueError(f"{name} must be {kinds}, got {value!r}")

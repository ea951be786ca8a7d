"""Adagrad with a rule of :mod:`.rules` for Keras 3, on its TensorFlow, JAX and Torch backends.

    from steadyrank.optimizers.keras3 import ClippyAdagrad
    model.compile(optimizer=ClippyAdagrad(0.1), loss=...)

Rules, steps and safety are the same as in :class:`steadyrank.optimizers.Adagrad`; this module connects them to Keras 3.
On TensorFlow, sparse gradients (``tf.IndexedSlices``) stay sparse, and repeated ids are summed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from .arguments import AdagradArguments, ClippyArguments
from .keras_clipping import clip_and_keep_bad
from .settings import Settings
from .step_plan import SKIPPED_IN_A_ROW, State, StepPlan, make_first_state, plan_step
from .update import compute_changes
from .variable_spec import Operands, VariableSpec

if not keras.__version__.startswith("3."):
    raise ImportError(
        f"steadyrank.optimizers.keras3 needs Keras 3 as `keras`, got {keras.__version__}; for Keras 2, import "
        "steadyrank.optimizers"
    )

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if _ON_TENSORFLOW:
    import tensorflow as tf

    from .programs import Programs, sum_repeated_rows
    from .tensorflow_ops import get_values, replace_values
    from .tensorflow_step import TensorflowStep
else:

    def get_values(gradient: Any) -> Any:
        """Returns the gradient, because it is dense on this backend."""
        return gradient

    def replace_values(gradient: Any, values: Any) -> Any:
        """Returns the new numbers, because the gradient is dense on this backend."""
        del gradient
        return values


@keras.saving.register_keras_serializable("steadyrank.keras3")
class Adagrad(AdagradArguments, keras.optimizers.Optimizer):
    """Adagrad with a rule that bounds its steps and with protection against bad gradients, for Keras 3.

    When to use it: where you would use :class:`steadyrank.optimizers.Adagrad` in Keras 2. Formula, safety, rules,
      reference and
    arguments are the same. The differences:

    * The learning rate may also be a function without arguments, as in every Keras 3 optimizer.
    * After more than ``max_skipped_steps`` bad steps in a row, the optimizer raises ``FloatingPointError`` on Torch and JAX.
      JAX wraps it in an error of its own.
    * ``jit_compile`` has an effect only on the TensorFlow backend.

    Args:
      learning_rate, rule, groups, initial_accumulator_value, epsilon, explain, skip_nonfinite, gradient_limit,
        max_skipped_steps, use_standard_accumulator_update, clip_accumulator_update, exclude_from_clipping, jit_compile:
          See
        :class:`steadyrank.optimizers.Adagrad`.
      name: Name of the optimizer. Default ``adagrad``.
      **kwargs: Arguments of any Keras 3 optimizer, such as ``weight_decay``, ``clipnorm``, ``use_ema`` and
        ``loss_scale_factor``.

    Raises:
      ValueError: If an argument is out of range or contradicts another one; in :meth:`build`, if a pattern matches no
        variable.

    Example:
    >>> import keras, numpy as np
    >>> from steadyrank.optimizers.keras3 import Adagrad
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer=Adagrad(0.1, "clippy"), loss="mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
    """

    keras_package = "keras"
    _default_name = "adagrad"

    def _initialize(self, learning_rate: Any, checked: Settings, name: str | None, kwargs: dict[str, Any]) -> None:
        learning_rate = learning_rate if callable(learning_rate) else float(learning_rate)
        keras.optimizers.Optimizer.__init__(self, learning_rate, name=name or self._default_name, **kwargs)
        self._settings = checked

    @staticmethod
    def _deserialize_schedule(config: Any) -> Any:
        return keras.optimizers.schedules.deserialize(config) if isinstance(config, Mapping) else config

    # State.

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the accumulators, the counts, and the state of the rules and the explanations."""
        if self.built:
            return
        super().build(variables)
        self._names = [getattr(variable, "path", variable.name) for variable in variables]
        self._shapes = [tuple(variable.shape) for variable in variables]
        self._rules = self._settings.choose_rules(self._names)
        initializer = keras.initializers.Constant(self._settings.initial_accumulator_value)
        self._accumulators = [
            self.add_variable(
                variable.shape,
                initializer,
                dtype=_compute_dtype(variable),
                layout=getattr(variable, "_layout", None),
                name=f"{name.replace('/', '_').replace(':', '_')}_accumulator",
            )
            for variable, name in zip(variables, self._names, strict=True)
        ]
        self._state = make_first_state(self._rules, self._settings.explain).map(self._add_state, State._fields)

    def _is_built(self) -> bool:
        return self.built

    def _add_state(self, value: np.ndarray, name: str) -> Any:
        # "int" is the backend's integer type: JAX has 64-bit integers only if it is configured for them.
        dtype = "int" if np.issubdtype(value.dtype, np.integer) else "float32"
        # An initializer sets the value, because an assignment during tracing would become part of the training step.
        return self.add_variable(
            value.shape,
            lambda shape, dtype: ops.cast(value, dtype),
            dtype=dtype,
            aggregation="only_first_replica",
            name=name,
        )

    # A step.

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Not supported: a step covers all variables, see :meth:`apply`."""
        raise NotImplementedError("call apply: a step needs the gradients of all variables")

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Does nothing: the weight decay is part of the step, so that the rule bounds both together."""

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        if not (self.clipvalue or self.clipnorm or self.global_clipnorm) or not self._settings.skip_nonfinite:
            return super()._clip_gradients(grads)
        clip = super()._clip_gradients
        if _ON_TENSORFLOW and self.global_clipnorm:
            # Keras would make sparse gradients dense.
            def clip(gradients: Sequence[Any]) -> Sequence[Any]:
                return tf.clip_by_global_norm(gradients, self.global_clipnorm)[0]

        return clip_and_keep_bad(
            ops,
            clip,
            grads,
            limit=self._settings.gradient_limit,
            is_global=bool(self.global_clipnorm),
            get_values=get_values,
            replace_values=replace_values,
        )

    def _backend_apply_gradients(self, grads: Sequence[Any], trainable_variables: Sequence[Any]) -> None:
        if not self.use_ema:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        averages = [average for average in self._model_variables_moving_average if average is not None]
        targets = [*self._trainable_variables, *averages]
        before = [ops.copy(ops.convert_to_tensor(variable)) for variable in targets]
        super()._backend_apply_gradients(grads, trainable_variables)
        # A skipped step neither changes an average nor overwrites weights with it.
        step_was_taken = ops.equal(ops.convert_to_tensor(self._state.counts)[SKIPPED_IN_A_ROW], 0)
        for variable, old in zip(targets, before, strict=True):
            variable.assign(ops.where(step_was_taken, ops.convert_to_tensor(variable), old))

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        if _ON_TENSORFLOW:
            self._take_tensorflow_step(grads, trainable_variables, learning_rate)
            return
        specs = [self._make_spec(variable, is_sparse=False) for variable in trainable_variables]
        operands = [
            Operands(*(ops.cast(ops.convert_to_tensor(x), spec.dtype) for x in (v, g, self._accumulators[spec.index])))
            for spec, v, g in zip(specs, trainable_variables, grads, strict=True)
        ]
        plan = plan_step(
            ops,
            lambda function, specs, *values, shared: function(ops, specs, *values, *shared),
            specs,
            operands,
            [None] * len(specs),
            step=ops.convert_to_tensor(self.iterations),
            eta=ops.convert_to_tensor(learning_rate),
            state=self._state.map(ops.convert_to_tensor),
            skip_nonfinite=self._settings.skip_nonfinite,
        )
        self._fail_after_too_many(plan, [self._names[spec.index] for spec in specs])
        for position, (spec, variable) in enumerate(zip(specs, trainable_variables, strict=True)):
            change_of_w, change_of_accumulator = compute_changes(ops, spec, operands[position], plan.decision(position))
            self.assign_add(variable, ops.cast(change_of_w, variable.dtype))
            self.assign_add(self._accumulators[spec.index], change_of_accumulator)
        self._state.map(self.assign, plan.state)

    def _fail_after_too_many(self, plan: StepPlan, names: Sequence[str]) -> None:
        allowed = self._settings.allowed_skips
        if allowed is None:
            return
        messages = self._settings.failure_messages(names)

        def check(in_a_row: Any, is_finite: Any) -> None:
            if int(in_a_row) > allowed:
                # If every gradient is finite, the learning rate is the cause, and the last message says so.
                raise FloatingPointError(messages[int(np.argmin(np.append(np.asarray(is_finite), False)))])

        if keras.backend.backend() == "jax":
            import jax

            jax.debug.callback(check, plan.state.counts[SKIPPED_IN_A_ROW], plan.is_finite)
        else:
            check(plan.state.counts[SKIPPED_IN_A_ROW], ops.convert_to_numpy(plan.is_finite))

    def _take_tensorflow_step(self, grads: Sequence[Any], trainable_variables: Sequence[Any], eta: Any) -> None:
        strategy = self._distribution_strategy
        variables = [_unwrap(variable) for variable in trainable_variables]
        summed = self._all_reduce_sum_gradients(list(zip(grads, variables, strict=True)))
        gradients = [sum_repeated_rows(gradient, self._programs) for gradient, _ in summed]
        # Keras passes Keras variables, which a compiled function does not accept.
        plan, operands = self._tensorflow_step.plan(
            strategy, gradients, variables, _unwrap(self.iterations), _unwrap(eta)
        )
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._tensorflow_step.write, strategy, gradients, variables, plan, operands
        )

    @functools.cached_property
    def _tensorflow_step(self) -> Any:
        accumulators = [accumulator.value for accumulator in self._accumulators]
        state = self._state.map(_unwrap)
        return TensorflowStep(self._settings, self._programs, self._names, accumulators, state, self._make_spec)

    @functools.cached_property
    def _programs(self) -> Any:
        return Programs(self._settings.jit_compile)

    def _make_spec(self, variable: Any, is_sparse: bool) -> VariableSpec:
        index = self._get_variable_index(variable)
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        dtype = _compute_dtype(variable)
        largest = float(ml_dtypes.finfo(keras.backend.standardize_dtype(variable.dtype)).max)
        return VariableSpec(
            index=index,
            table=index,
            rule=self._rules[index],
            adagrad=self._settings.adagrad_parameters(decay, dtype, largest),
            is_sparse=is_sparse,
            rank=len(variable.shape),
            dtype=dtype,
            explain=self._settings.explain,
        )

    # Reports and configuration.

    def _read_value(self, variable: Any) -> np.ndarray:
        return ops.convert_to_numpy(ops.convert_to_tensor(variable))

    @property
    def clipping_factors(self) -> list[float]:
        """The factors of the last step, in the order of the variables; empty without ``explain``."""
        if not self.built or not self._settings.explain:
            return []
        return [float(factor) for factor in self._read_value(self._state.numbers)[:, 0]]

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments, so that ``from_config`` makes an equal optimizer."""
        return super().get_config() | self._settings.get_config(keras.optimizers.schedules.serialize)


@keras.saving.register_keras_serializable("steadyrank.keras3")
class ClippyAdagrad(ClippyArguments, Adagrad):
    """Adagrad with Clippy for Keras 3: it limits how far each weight may move, in proportion to the weight's size.

    When to use it: where you would use :class:`steadyrank.optimizers.ClippyAdagrad` in Keras 2. Formula, reference,
      arguments and
    defaults are the same.

    Args:
      learning_rate, initial_accumulator_value, variable_relative_threshold, accumulator_relative_threshold,
        absolute_threshold, epsilon, export_clipping_factors, clip_accumulator_update, use_standard_accumulator_update,
        exclude_from_clipping, groups, granularity: See :class:`steadyrank.optimizers.ClippyAdagrad`.
      name: Name of the optimizer. Default ``clippy_adagrad``.
      **kwargs: See :class:`Adagrad`.

    Raises:
      ValueError: If an argument is out of range or contradicts another one; in :meth:`build`, if a pattern matches no
        variable.

    Example:
    >>> import keras
    >>> from steadyrank.optimizers.keras3 import ClippyAdagrad
    >>> w = keras.Variable([1.0, 0.0])
    >>> optimizer = ClippyAdagrad(1.0, export_clipping_factors=True)
    >>> optimizer.build([w])
    >>> optimizer.apply([keras.ops.convert_to_tensor([1.0, 10.0])], [w])  # w[1] may move by 0.01; Adagrad asks for 1.0
    >>> [round(factor, 4) for factor in optimizer.clipping_factors]
    [0.01]
    """

    _default_name = "clippy_adagrad"


def _compute_dtype(variable: Any) -> str:
    """Returns float64 for a float64 variable and float32 for any other: squares and sums do not fit half precision."""
    return "float64" if keras.backend.standardize_dtype(variable.dtype) == "float64" else "float32"


def _unwrap(variable: Any) -> Any:
    """Returns the TensorFlow variable inside a Keras variable; returns anything else unchanged."""
    return getattr(variable, "value", variable)

"""Adagrad under the rules of :mod:`.rules` for Keras 3, on its TensorFlow, JAX and Torch backends.

    from steadyrank.optimizers.keras3 import ClippyAdagrad
    model.compile(optimizer=ClippyAdagrad(0.1), loss=...)

The rules, the measures and the safety are those of :class:`steadyrank.optimizers.Adagrad`; this is a second shell around
them. On TensorFlow, sparse gradients (``tf.IndexedSlices``) stay sparse and repeated ids are summed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from . import settings
from .keras_clipping import clip_marked
from .rule import Granularity, Rule, Threshold
from .settings import Settings
from .step_plan import SKIPPED_IN_A_ROW, State, make_first_state, plan_step
from .step_report import StepReport
from .update import compute_changes
from .variable_spec import Operands, VariableSpec

if not keras.__version__.startswith("3."):
    raise ImportError(
        f"steadyrank.optimizers.keras3 needs Keras 3 as `keras`, got {keras.__version__}; for Keras 2 import "
        "steadyrank.optimizers"
    )

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if _ON_TENSORFLOW:
    import tensorflow as tf

    from . import tensorflow_ops
    from .tensorflow_step import TensorflowStep


@keras.saving.register_keras_serializable("steadyrank.keras3")
class Adagrad(StepReport, keras.optimizers.Optimizer):
    """Adagrad with a rule that bounds its steps, and safe against bad gradients, for Keras 3.

    When to use it: where :class:`steadyrank.optimizers.Adagrad` stands in Keras 2. Formula, safety, rules, reference and
    arguments are the same. What differs:

    * A learning rate may also be a function without arguments, as for every Keras 3 optimizer.
    * On JAX the error after ``max_skipped_steps`` comes from inside the compiled step, wrapped by JAX; on Torch it is a
      ``FloatingPointError``.
    * ``jit_compile`` says whether the measuring and writing of large dense variables is compiled on the TensorFlow backend.

    Args:
      learning_rate, rule, groups, initial_accumulator_value, epsilon, explain, skip_nonfinite, gradient_limit,
        max_skipped_steps, use_standard_accumulator_update, clip_accumulator_update, exclude_from_clipping, jit_compile,
        name: See
        :class:`steadyrank.optimizers.Adagrad`.
      **kwargs: As for any Keras 3 optimizer: ``weight_decay``, ``clipnorm``, ``use_ema``, ``loss_scale_factor`` …

    Raises:
      ValueError: When an argument is out of its range or contradicts another; in :meth:`build`, when a pattern matches
        nothing.

    Example:
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer=Adagrad(0.1, "clippy"), loss="mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rule: Rule | str | Mapping[str, Any] | None = None,
        *,
        groups: Mapping[str, Rule | str | Mapping[str, Any] | None] | None = None,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        explain: bool = False,
        skip_nonfinite: bool = True,
        gradient_limit: float = 1e10,
        max_skipped_steps: int | None = 20,
        use_standard_accumulator_update: bool = True,
        clip_accumulator_update: bool = False,
        exclude_from_clipping: Sequence[str] | None = (),
        jit_compile: bool = True,
        name: str = "adagrad",
        **kwargs: Any,
    ):
        learning_rate = schedule(learning_rate)
        settings.check_number("learning_rate", learning_rate, scheduled=True)
        settings.check_number("weight_decay", kwargs.get("weight_decay") or 0.0)
        told = Settings(
            rule=settings.as_rule("rule", rule, schedule),
            groups=settings.as_groups(groups, schedule),
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            explain=explain,
            skip_nonfinite=skip_nonfinite,
            gradient_limit=gradient_limit,
            max_skipped_steps=max_skipped_steps,
            use_standard_accumulator_update=use_standard_accumulator_update,
            clip_accumulator_update=clip_accumulator_update,
            jit_compile=jit_compile,
            exclude_from_clipping=settings.as_patterns("exclude_from_clipping", exclude_from_clipping),
        )
        super().__init__(learning_rate if callable(learning_rate) else float(learning_rate), name=name, **kwargs)
        self._settings = told

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the accumulators, the counts, and what the rules and the explanations keep."""
        if self.built:
            return
        super().build(variables)
        self._names = [getattr(variable, "path", variable.name) for variable in variables]
        self._shapes = [tuple(variable.shape) for variable in variables]
        self._rules = self._settings.rules_of(self._names)
        initializer = keras.initializers.Constant(self._settings.initial_accumulator_value)
        self._accumulators = [
            self.add_variable(
                variable.shape,
                initializer,
                dtype=compute_dtype(variable),
                layout=getattr(variable, "_layout", None),
                name=f"{name.replace('/', '_').replace(':', '_')}_accumulator",
            )
            for variable, name in zip(variables, self._names, strict=True)
        ]
        self._state = make_first_state(self._rules, self._settings.explain).map(self._add_state, State._fields)

    def _add_state(self, value: np.ndarray, name: str) -> Any:
        # "int" is what the backend counts in: JAX has no 64 bits unless it is told to.
        dtype = "int" if np.issubdtype(value.dtype, np.integer) else "float32"
        # By its initializer: an assignment, made while a training step is traced, would become a spec of the step.
        return self.add_variable(
            value.shape,
            lambda shape, dtype: ops.cast(value, dtype),
            dtype=dtype,
            aggregation="only_first_replica",
            name=name,
        )

    # A step.

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Not called: a step is taken over all variables together, by :meth:`apply`."""
        raise NotImplementedError("call apply: a step needs the gradients of all variables")

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing: the decay is spec of the step, so that the rule bounds both together."""

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        if not (self.clipvalue or self.clipnorm or self.global_clipnorm) or not self._settings.skip_nonfinite:
            return super()._clip_gradients(grads)
        # Of all sparse gradients together, Keras would make dense ones.
        by_tensorflow = _ON_TENSORFLOW and self.global_clipnorm
        return clip_marked(
            ops,
            (lambda g: tf.clip_by_global_norm(g, self.global_clipnorm)[0])
            if by_tensorflow
            else super()._clip_gradients,
            grads,
            limit=self._settings.gradient_limit,
            together=bool(self.global_clipnorm),
            values_of=tensorflow_ops.values_of if _ON_TENSORFLOW else lambda gradient: gradient,
            with_values=tensorflow_ops.with_values if _ON_TENSORFLOW else lambda gradient, values: values,
        )

    def _backend_apply_gradients(self, grads: Sequence[Any], trainable_variables: Sequence[Any]) -> None:
        if not self.use_ema:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        averages = [average for average in self._model_variables_moving_average if average is not None]
        kept = [*self._trainable_variables, *averages]
        before = [ops.copy(ops.convert_to_tensor(variable)) for variable in kept]
        super()._backend_apply_gradients(grads, trainable_variables)
        # A step that was skipped is none of the averages' either, nor do they replace the weights.
        sound = ops.equal(ops.convert_to_tensor(self._state.counts)[SKIPPED_IN_A_ROW], 0)
        for variable, old in zip(kept, before, strict=True):
            variable.assign(ops.where(sound, ops.convert_to_tensor(variable), old))

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        if _ON_TENSORFLOW:
            self._tensorflow_step(grads, trainable_variables, learning_rate)
            return
        chosen = [self._make_spec(variable, is_sparse=False) for variable in trainable_variables]
        touched = [
            Operands(*(ops.cast(ops.convert_to_tensor(x), spec.dtype) for x in (v, g, self._accumulators[spec.index])))
            for spec, v, g in zip(chosen, trainable_variables, grads, strict=True)
        ]
        plan = plan_step(
            ops,
            lambda function, parts, *values, shared: function(ops, parts, *values, *shared),
            chosen,
            touched,
            [None] * len(chosen),
            step=ops.convert_to_tensor(self.iterations),
            eta=ops.convert_to_tensor(learning_rate),
            state=self._state.map(ops.convert_to_tensor),
            skip_nonfinite=self._settings.skip_nonfinite,
        )
        allowed = self._settings.allowed_skips
        if allowed is not None:
            names = [self._names[spec.index] for spec in chosen]
            self._fail_if_skipping(plan.state.counts, plan.is_finite, allowed, names)
        for spec, variable, values, sigma in zip(chosen, trainable_variables, touched, plan.sigmas, strict=True):
            change, gain = compute_changes(ops, spec, values, sigma, plan.eta, plan.take_step)
            self.assign_add(variable, ops.cast(change, variable.dtype))
            self.assign_add(self._accumulators[spec.index], gain)
        self._state.map(self.assign, plan.state)

    def _tensorflow_step(self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any) -> None:
        strategy = self._distribution_strategy
        variables = [_native(variable) for variable in trainable_variables]
        reduced = self._all_reduce_sum_gradients(list(zip(grads, variables, strict=True)))
        gradients = [tensorflow_ops.without_repeated_rows(gradient, self._programs) for gradient, _ in reduced]
        # Keras hands some variables through as they are, which no compiled function takes.
        step, eta = _native(self.iterations), _native(learning_rate)
        plan, read_before = self._step.plan(strategy, gradients, variables, step, eta)
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._step.write, strategy, gradients, variables, plan, read_before
        )

    @functools.cached_property
    def _step(self) -> Any:
        accumulators = [accumulator.value for accumulator in self._accumulators]
        state = self._state.map(_native)
        return TensorflowStep(self._settings, self._programs, self._names, accumulators, state, self._make_spec)

    @functools.cached_property
    def _programs(self) -> Any:
        return tensorflow_ops.Programs(self._settings.jit_compile)

    def _make_spec(self, variable: Any, is_sparse: bool) -> VariableSpec:
        index = self._get_variable_index(variable)
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        dtype = compute_dtype(variable)
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

    def _fail_if_skipping(self, counts: Any, finite: Any, allowed: int, names: Sequence[str]) -> None:
        messages = self._settings.failures(names)

        def check(in_a_row: Any, finite: Any) -> None:
            if int(in_a_row) > allowed:
                # Where every gradient is finite, it was the rate.
                raise FloatingPointError(messages[int(np.argmin(np.append(np.asarray(finite), False)))])

        if keras.backend.backend() == "jax":
            import jax

            jax.debug.callback(check, counts[SKIPPED_IN_A_ROW], finite)
        else:
            check(counts[SKIPPED_IN_A_ROW], ops.convert_to_numpy(finite))

    # What it tells.

    def _is_built(self) -> bool:
        return self.built

    def _value(self, variable: Any) -> np.ndarray:
        return ops.convert_to_numpy(ops.convert_to_tensor(variable))

    @property
    def clipping_factors(self) -> list[float]:
        """The factor of each variable's last step, in the order of the variables; empty without ``explain``."""
        if not self.built or not self._settings.explain:
            return []
        return [float(factor) for factor in self._value(self._state.numbers)[:, 0]]

    def get_config(self) -> dict[str, Any]:
        """All arguments: a restored optimizer equals this one."""
        return super().get_config() | self._settings.get_config(keras.optimizers.schedules.serialize)


@keras.saving.register_keras_serializable("steadyrank.keras3")
class ClippyAdagrad(Adagrad):
    """Adagrad with Clippy for Keras 3: no coordinate moves further than a share of its size.

    When to use it: where :class:`steadyrank.optimizers.ClippyAdagrad` stands in Keras 2. Formula, reference, arguments and
    defaults are the same.

    Args:
      learning_rate, initial_accumulator_value, variable_relative_threshold, accumulator_relative_threshold,
        absolute_threshold, epsilon, export_clipping_factors, clip_accumulator_update, use_standard_accumulator_update, name,
        exclude_from_clipping, groups, granularity: See :class:`steadyrank.optimizers.ClippyAdagrad`.
      **kwargs: As for :class:`Adagrad`.

    Raises:
      ValueError: When an argument is out of its range or contradicts another; in :meth:`build`, when a pattern matches
        nothing.

    Example:
    >>> w = keras.Variable([1.0, 0.0])
    >>> optimizer = ClippyAdagrad(1.0, export_clipping_factors=True)
    >>> optimizer.apply([ops.convert_to_tensor([1.0, 10.0])], [w])  # w[1] may move by 0.01, Adagrad asks for 1.0
    >>> [round(factor, 4) for factor in optimizer.clipping_factors]
    [0.01]
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        variable_relative_threshold: Threshold = 0.5,
        accumulator_relative_threshold: Threshold = 0.0,
        absolute_threshold: Threshold = 1e-2,
        epsilon: float = 1e-7,
        export_clipping_factors: bool = False,
        clip_accumulator_update: bool = False,
        use_standard_accumulator_update: bool = True,
        name: str = "clippy_adagrad",
        *,
        exclude_from_clipping: Sequence[str] | None = None,
        groups: Mapping[str, Rule | str | Mapping[str, Any] | None] | None = None,
        granularity: Granularity = "variable",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            settings.clippy_rule(
                schedule, variable_relative_threshold, accumulator_relative_threshold, absolute_threshold, granularity
            ),
            groups=groups,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            explain=export_clipping_factors,
            use_standard_accumulator_update=use_standard_accumulator_update,
            clip_accumulator_update=clip_accumulator_update,
            exclude_from_clipping=exclude_from_clipping,
            name=name,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        """All arguments: a restored optimizer equals this one."""
        return settings.under_tfrs_names(super().get_config())


def schedule(config: Any) -> Any:
    """A Keras 3 schedule from its configuration; anything else as it is."""
    return keras.optimizers.schedules.deserialize(config) if isinstance(config, Mapping) else config


def compute_dtype(variable: Any) -> str:
    """float64 for a variable of that, else float32: squares and sums do not fit half precision."""
    return "float64" if keras.backend.standardize_dtype(variable.dtype) == "float64" else "float32"


def _native(variable: Any) -> Any:
    """TensorFlow's variable within Keras's; anything else as it is."""
    return getattr(variable, "value", variable)

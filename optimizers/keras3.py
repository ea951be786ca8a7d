"""Adagrad under the rules of :mod:`.clipping` for Keras 3, on its TensorFlow and JAX backends (Torch: not tried).

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

from . import explanations, settings, steps
from .clipping import Rule, Threshold
from .explanations import Explanation
from .parts import Part, Touched, changes
from .settings import Settings
from .steps import Plan, State

if not keras.__version__.startswith("3."):
    raise ImportError(
        f"steadyrank.optimizers.keras3 needs Keras 3 as `keras`, got {keras.__version__}; for Keras 2 import "
        "steadyrank.optimizers"
    )

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if _ON_TENSORFLOW:
    import tensorflow as tf

    from . import kernels


@keras.saving.register_keras_serializable("steadyrank.keras3")
class Adagrad(keras.optimizers.Optimizer):
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
        first = steps.first_state(self._rules, self._settings.explain)
        self._state = State(
            *(None if v is None else self._add_state(v, n) for n, v in zip(State._fields, first, strict=True))
        )

    def _add_state(self, value: np.ndarray, name: str) -> Any:
        # "int" is what the backend counts in: JAX has no 64 bits unless it is told to.
        dtype = "int" if np.issubdtype(value.dtype, np.integer) else "float32"
        # By its initializer: an assignment, made while a training step is traced, would become a part of the step.
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
        """Nothing: the decay is part of the step, so that the rule bounds both together."""

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        if not (self.clipvalue or self.clipnorm or self.global_clipnorm) or not self._settings.skip_nonfinite:
            return super()._clip_gradients(grads)
        # Clipped, a bad coordinate would pass for a good one, or make the gradients of all variables bad.
        limit = self._settings.gradient_limit
        marked = [_map_values(lambda x: ops.where(ops.abs(x) <= limit, x, float("nan")), g) for g in grads]
        if not self.global_clipnorm:
            return super()._clip_gradients(marked)
        finite = ops.all(ops.stack([ops.all(ops.isfinite(_values(g))) for g in marked]))
        if _ON_TENSORFLOW:
            # Keras would make a sparse gradient dense.
            clipped, _ = tf.clip_by_global_norm(marked, self.global_clipnorm)
            return [kernels.either(finite, *pair) for pair in zip(clipped, marked, strict=True)]
        return [ops.where(finite, *pair) for pair in zip(super()._clip_gradients(marked), marked, strict=True)]

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        if _ON_TENSORFLOW:
            self._tensorflow_step(grads, trainable_variables, learning_rate)
            return
        chosen = [self._part(variable, sparse=False) for variable in trainable_variables]
        touched = [
            Touched(*(ops.cast(ops.convert_to_tensor(x), part.dtype) for x in (v, g, self._accumulators[part.index])))
            for part, v, g in zip(chosen, trainable_variables, grads, strict=True)
        ]
        plan = self._plan(ops, _each, chosen, touched, [None] * len(chosen), learning_rate)
        self._fail_if_skipping(plan, chosen)
        for part, variable, values, sigma in zip(chosen, trainable_variables, touched, plan.sigmas, strict=True):
            clip = self._settings.clip_accumulator_update
            change, gain = changes(
                ops, part, values, sigma=sigma, eta=plan.eta, sound=plan.sound, clip_accumulator=clip
            )
            self.assign_add(variable, ops.cast(change, variable.dtype))
            self.assign_add(self._accumulators[part.index], gain)
        for kept, new in zip(self._state, plan.state, strict=True):
            if kept is not None:
                self.assign(kept, new)

    def _plan(
        self,
        namespace: Any,
        each: Any,
        chosen: Sequence[Part],
        touched: Sequence[Touched],
        rows: Sequence[Any],
        learning_rate: Any,
        sum_of_squares: Any = lambda x: ops.sum(ops.square(x)),
    ) -> Plan:
        return steps.plan(
            namespace,
            each,
            chosen,
            touched,
            rows,
            step=_tensor(self.iterations),
            eta=_tensor(learning_rate),
            state=State(*(None if kept is None else _tensor(kept) for kept in self._state)),
            skip=self._settings.skip_nonfinite,
            sum_of_squares=sum_of_squares,
        )

    def _tensorflow_step(self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any) -> None:
        variables = [getattr(variable, "value", variable) for variable in trainable_variables]
        reduced = self._all_reduce_sum_gradients(list(zip(grads, variables, strict=True)))
        gradients = [kernels.without_repeated_rows(gradient, self._programs) for gradient, _ in reduced]
        accumulators = [accumulator.value for accumulator in self._accumulators]
        chosen = [self._part(v, isinstance(g, tf.IndexedSlices)) for g, v in zip(gradients, variables, strict=True)]
        touched = [
            kernels.read(variable, accumulators[part.index], gradient)
            for part, gradient, variable in zip(chosen, gradients, variables, strict=True)
        ]
        compiled = kernels.compiles(self._programs, self._distribution_strategy, gradients)
        each = functools.partial(self._programs.each, compiled=compiled)
        rows = [gradient.indices if part.sparse else None for part, gradient in zip(chosen, gradients, strict=True)]
        plan = self._plan(kernels.Ops, each, chosen, touched, rows, learning_rate, kernels.sum_of_squares)
        self._fail_if_skipping(plan, chosen)
        read_before = [values if part.sparse else () for part, values in zip(chosen, touched, strict=True)]

        def write(distribution: Any, gradients: Any, variables: Any, plan: Plan, read_before: Any) -> None:
            kernels.write_step(
                distribution,
                gradients,
                variables,
                plan,
                read_before,
                part_of=self._part,
                accumulators=accumulators,
                programs=self._programs,
                clip_accumulator=self._settings.clip_accumulator_update,
            )
            kernels.keep(distribution, State(*(None if kept is None else kept.value for kept in self._state)), plan)

        tf.__internal__.distribute.interim.maybe_merge_call(
            write, self._distribution_strategy, gradients, variables, plan, read_before
        )

    @functools.cached_property
    def _programs(self) -> Any:
        return kernels.Programs(self._settings.jit_compile)

    def _part(self, variable: Any, sparse: bool) -> Part:
        index = self._get_variable_index(variable)
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        dtype = compute_dtype(variable)
        largest = 0.99 * float(ml_dtypes.finfo(keras.backend.standardize_dtype(variable.dtype)).max)
        return Part(
            index=index,
            table=index,
            rule=self._rules[index],
            frame=self._settings.frame(decay, float(np.finfo(dtype).tiny), largest, 0.99 * float(np.finfo(dtype).max)),
            sparse=sparse,
            rank=len(variable.shape),
            dtype=dtype,
            explained=self._settings.explain,
        )

    def _fail_if_skipping(self, plan: Plan, chosen: Sequence[Part]) -> None:
        allowed = self._settings.max_skipped_steps
        if allowed is None or not self._settings.skip_nonfinite:
            return
        messages = steps.failures([self._names[part.index] for part in chosen], self._settings.gradient_limit, allowed)
        counts = plan.state.counts
        if _ON_TENSORFLOW:
            kernels.fail_if_skipping(counts, plan.finite, allowed, messages)
            return

        def check(in_a_row: Any, finite: Any) -> None:
            if int(in_a_row) > allowed:
                # Where every gradient is finite, it was the rate.
                raise FloatingPointError(messages[int(np.argmin(np.append(np.asarray(finite), False)))])

        if keras.backend.backend() == "jax":
            import jax

            jax.debug.callback(check, counts[steps.IN_A_ROW], plan.finite)
        else:
            check(counts[steps.IN_A_ROW], ops.convert_to_numpy(plan.finite))

    # What it tells.

    @property
    def skipped_steps(self) -> int:
        """Steps that were skipped because of a bad gradient, since the optimizer was made."""
        return int(_numpy(self._state.counts)[steps.SKIPPED]) if self.built else 0

    def read_nonfinite_gradients(self) -> dict[str, int]:
        """How often each variable's gradient was bad, by its path; only the variables for which that happened."""
        if not self.built:
            return {}
        counts = _numpy(self._state.counts)[steps.PER_VARIABLE :]
        return {name: int(count) for name, count in zip(settings.unique(self._names), counts, strict=True) if count}

    @property
    def clipping_factors(self) -> list[float]:
        """The factor of each variable's last step, in the order of the variables; empty without ``explain``."""
        if not self.built or not self._settings.explain:
            return []
        return [float(factor) for factor in _numpy(self._state.numbers)[:, 0]]

    def read_explanations(self, reset: bool = True) -> dict[str, Explanation]:
        """What was done to each variable since the last reading, by the variable's path.

        Args:
          reset: Start anew after reading.

        Raises:
          ValueError: When the optimizer was not told to explain.
        """
        if not self._settings.explain:
            raise ValueError(
                "read_explanations needs an optimizer made with explain=True (ClippyAdagrad: export_clipping_factors=True)"
            )
        if not self.built:
            return {}
        kept = [_numpy(variable) for variable in (self._state.numbers, self._state.integers)]
        if reset:
            numbers, integers = explanations.empty(len(self._names))
            self._state.numbers.assign(numbers)
            self._state.integers.assign(integers)
        rules = [rule.name for rule in self._rules]
        rows = zip(settings.unique(self._names), rules, *kept, self._shapes, strict=True)
        return {name: explanations.explain(*row) for name, *row in rows}

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
        exclude_from_clipping, groups, per: See :class:`steadyrank.optimizers.ClippyAdagrad`.
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
        per: str = "variable",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            settings.clippy_rule(
                schedule, variable_relative_threshold, accumulator_relative_threshold, absolute_threshold, per
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


def _each(function: Any, chosen: Sequence[Part], *values: Sequence[Any], shared: Sequence[Any]) -> list[Any]:
    return function(ops, chosen, *values, *shared)


def _map_values(function: Any, gradient: Any) -> Any:
    return kernels.map_values(function, gradient) if _ON_TENSORFLOW else function(gradient)


def _values(gradient: Any) -> Any:
    return gradient.values if _ON_TENSORFLOW and isinstance(gradient, tf.IndexedSlices) else gradient


def _tensor(value: Any) -> Any:
    # Keras hands some variables through as they are, which no compiled function takes.
    return tf.convert_to_tensor(getattr(value, "value", value)) if _ON_TENSORFLOW else ops.convert_to_tensor(value)


def _numpy(variable: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.convert_to_tensor(variable))

"""Adagrad under any of the rules of :mod:`.rules`, for Keras 2 (tf_keras).

A step has two halves. Everything that the rules need to know of all gradients is measured first; then, with every factor
known and every gradient found finite, the variables are written. Only so can a bad gradient of one variable leave all
others untouched, and a norm be taken over all variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from . import settings, tensorflow_ops
from .keras_clipping import clip_marked
from .rule import Rule
from .settings import Settings
from .step_plan import State, StepPlan, make_first_state
from .step_report import StepReport
from .tensorflow_ops import Gradient, Programs
from .tensorflow_step import TensorflowStep
from .variable_spec import VariableSpec


@tf_keras.utils.register_keras_serializable("steadyrank")
class Adagrad(StepReport, tf_keras.optimizers.Optimizer):
    r"""Adagrad with a rule that bounds its steps, and safe against bad gradients.

    When to use it: to choose among the rules, or to give groups of variables rules of their own. For Clippy with the
    arguments that TFRS's users know there is :class:`~.clippy_adagrad.ClippyAdagrad`.

    Formula, element-wise, with ``before`` and ``after`` the rule's sigma or 1, see :mod:`.rules`::

        g <- before * g
        G <- G + g^2
        w <- w - after * eta * (g / sqrt(G + epsilon) + weight_decay * w)

    *Safety.* When a coordinate of any gradient is NaN, infinite or beyond ``gradient_limit``, the whole step is skipped: no
    weight and no accumulator changes, on no replica. Skipped steps are counted (:attr:`skipped_steps`,
    :meth:`read_nonfinite_gradients`); ``max_skipped_steps`` in a row are allowed, one more raises
    ``tf.errors.InvalidArgumentError`` and names a variable. (Under ``jit_compile=True`` of the whole training step XLA drops
    the error, and the counts alone tell.) Whatever the gradients and the rate are, weights and accumulators stay finite.

    Reference: Duchi et al. 2011 for Adagrad; for the rules see each.

    Args:
      learning_rate: eta; a number of 0 or more, or a Keras schedule. Default 0.001.
      rule: A :class:`~.rules.Rule`, its name, or None for none. Default None.
      groups: Rules for groups of variables, by pattern: a regular expression that is searched in the variables' names. The
        first pattern that is found decides; None excludes the group from clipping. A pattern must match a variable.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      epsilon: Keeps the root away from 0. Default 1e-7.
      explain: Keep, for each variable, what :meth:`read_explanations` tells. May differ between saving and restoring a
        checkpoint. Default False, at no cost.
      skip_nonfinite: Skip steps with a bad gradient. Default True.
      gradient_limit: A coordinate beyond it is bad: its square would drown everything that the accumulator has seen, and
        its weight would stand still for good. Default 1e10.
      max_skipped_steps: Steps in a row that may be skipped; None for any number. Default 20.
      use_standard_accumulator_update: The accumulator takes the gradient before r is formed. With False r is formed from
        the accumulator of the steps before. Default True.
      clip_accumulator_update: The accumulator takes ``(sigma * g)^2`` also where sigma scales the step; only with
        ``use_standard_accumulator_update=False``. Default False.
      exclude_from_clipping: Patterns of variables that no rule holds for; they come after the groups. Each must match a
        variable. None: Keras's embedding tables (``embeddings``), where there are any. Default: no pattern.
      jit_compile: Measure and write large dense variables in one XLA program each, which halves a step's time on a CPU.
        Default True.
      name: Name of the optimizer.
      **kwargs: As for any Keras optimizer: ``weight_decay``, ``clipnorm``, ``use_ema`` … The weight decay is part of the
        step that the rule bounds; of a table with sparse gradients the touched rows decay.

    Gradients may be dense or sparse (``tf.IndexedSlices``); of a sparse one the touched rows alone are read, measured and
    written. Half-precision variables have float32 accumulators. Under a distribution strategy sigma is computed from the
    gradient summed over the replicas; of a variable in shards, from all shards.

    Raises:
      ValueError: When an argument is out of its range or contradicts another; in :meth:`build`, when a pattern matches
        nothing.

    Example:
    >>> w = tf.Variable([3.0, 4.0])
    >>> optimizer = Adagrad(1.0, GradientClipping(1.0), initial_accumulator_value=0.0)
    >>> optimizer.apply_gradients([(tf.constant([30.0, 40.0]), w)])  # g becomes [0.6, 0.8], r is g / sqrt(g^2)
    >>> w.numpy()
    array([2., 3.], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule = 0.001,
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
        name: str = "Adagrad",
        **kwargs: Any,
    ):
        settings.check_number("learning_rate", learning_rate, scheduled=True)
        settings.check_number("weight_decay", kwargs.get("weight_decay") or 0.0)
        self._settings = Settings(
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
        self._programs = Programs(jit_compile)
        # Keras takes a decay of 0 for a decay, and would compile each variable's update by itself.
        super().__init__(name=name, **({"weight_decay": None} | kwargs | {"jit_compile": False}))
        self._learning_rate = self._build_learning_rate(schedule(learning_rate))

    # What is kept.

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the accumulators, the counts, and what the rules and the explanations keep."""
        super().build(var_list)
        if self._is_built():
            return
        self._names = [variable.name for variable in var_list]
        self._rules = self._no_dependency(self._settings.rules_of(self._names))
        self._shapes = [tuple(variable.shape) for variable in var_list]
        self._accumulators = [self._add_accumulator(variable) for variable in var_list]
        first, names = make_first_state(self._rules, self._settings.explain), State._fields
        self._state = first.map(lambda value, name: self._add_state(value, name, var_list[0]), names)
        self._tensorflow_step = TensorflowStep(
            self._settings, self._programs, self._names, self._accumulators, self._state, self._make_spec
        )
        self._built = True
        if hasattr(self, "_coalesced_children"):
            # Keras remembers what a checkpoint consists of; before this, it did not consist of much.
            del self._coalesced_children

    def _add_accumulator(self, variable: tf.Variable) -> tf.Variable:
        dtype = tensorflow_ops.compute_dtype(variable)
        value = tf.fill(variable.shape, tf.constant(self._settings.initial_accumulator_value, dtype))
        if tensorflow_ops.own_dtype(variable) == dtype:
            return self.add_variable_from_reference(variable, "accumulator", initial_value=value)
        # Keras would give it the variable's half precision, in which a sum of squares soon stands still.
        with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
            accumulator = tf.Variable(value, trainable=False, name=f"accumulator/{variable.name.partition(':')[0]}")
        self._variables.append(accumulator)
        return accumulator

    def _add_state(self, value: Any, name: str, beside: tf.Variable) -> tf.Variable:
        # Beside a variable of the model's, since a strategy that cuts variables into shards leaves alone what has its place.
        with tf.distribute.get_strategy().extended.colocate_vars_with(beside):
            state = tf.Variable(value, trainable=False, name=name)
        self._variables.append(state)
        return state

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # Everything is saved under a name. Keras also saves all variables as one list, in which a variable's place depends
        # on what else is kept: restoring with explanations switched on or off would mix them up.
        children = super()._trackable_children(save_type, **kwargs)
        return {name: child for name, child in children.items() if name != "_variables"}

    def save_own_variables(self, store: Any) -> None:
        """What a ``.keras`` file holds of the optimizer, by name."""
        for name, variable in self._by_name().items():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Takes what is there; what only explains may be missing."""
        for name, variable in self._by_name().items():
            if name in store:
                variable.assign(store[name])

    def _by_name(self) -> dict[str, tf.Variable]:
        named = {"iterations": self.iterations}
        if not isinstance(self._learning_rate, tf_keras.optimizers.schedules.LearningRateSchedule):
            named["learning_rate"] = self._learning_rate
        if not self._is_built():
            return named
        named |= {f"accumulator_{i}": accumulator for i, accumulator in enumerate(self._accumulators)}
        averages = self._model_variables_moving_average if self.use_ema else ()
        named |= {f"average_{i}": average for i, average in enumerate(averages)}
        return named | {name: kept for name, kept in self._state._asdict().items() if kept is not None}

    # A step.

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Not called: a step is taken over all variables together, by :meth:`apply_gradients`."""
        raise NotImplementedError("call apply_gradients: a step needs the gradients of all variables")

    def _apply_weight_decay(self, variables: Iterable[tf.Variable]) -> None:
        """Nothing: the decay is part of the step, so that the rule bounds both together."""

    def _clip_gradients(self, grads: Sequence[Gradient]) -> Sequence[Gradient]:
        if not (self.clipvalue or self.clipnorm or self.global_clipnorm) or not self._settings.skip_nonfinite:
            return super()._clip_gradients(grads)
        return clip_marked(
            tensorflow_ops.Ops,
            super()._clip_gradients,
            grads,
            limit=self._settings.gradient_limit,
            together=bool(self.global_clipnorm),
            values_of=tensorflow_ops.values_of,
            with_values=tensorflow_ops.with_values,
        )

    def _deduplicate_sparse_grad(self, grads: Sequence[Gradient]) -> list[Gradient]:
        return [tensorflow_ops.without_repeated_rows(gradient, self._programs) for gradient in grads]

    def _internal_apply_gradients(self, grads_and_vars: Sequence[tuple[Gradient, tf.Variable]]) -> tf.Tensor:
        gradients, variables = map(list, zip(*grads_and_vars, strict=True))
        strategy = self._distribution_strategy
        plan, read_before = self._tensorflow_step.plan(
            strategy, gradients, variables, self.iterations, self.learning_rate
        )
        return tf.__internal__.distribute.interim.maybe_merge_call(
            self._write_step, strategy, gradients, variables, plan, read_before
        )

    def _write_step(
        self, distribution: Any, gradients: Any, variables: Any, plan: StepPlan, read_before: Sequence[Any]
    ) -> tf.Tensor:
        self._tensorflow_step.write(distribution, gradients, variables, plan, read_before)
        if self.use_ema:
            # A step that was skipped is none of the averages' either.
            take_step = distribution.experimental_local_results(plan.take_step)[0]
            tf.cond(take_step, lambda: self._average(variables), lambda: None)
        return self.iterations.assign_add(1)

    def _average(self, variables: Any) -> None:
        self._update_model_variables_moving_average(variables)
        if self.ema_overwrite_frequency:
            tf.cond(
                (self.iterations + 1) % self.ema_overwrite_frequency == 0,
                lambda: self._overwrite_model_variables_with_average_value(variables),
                lambda: None,
            )

    def _make_spec(self, variable: tf.Variable, is_sparse: bool) -> VariableSpec:
        key = self._var_key(variable)
        if key not in self._index_dict:
            raise KeyError(
                f"the optimizer was built for other variables than {variable.name!r}: call build() with all trainable "
                "variables before the first step"
            )
        index = self._index_dict[key]
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        dtype = tensorflow_ops.compute_dtype(variable)
        shards = getattr(variable, "_sharded_container", None)
        return VariableSpec(
            index=index,
            table=index if shards is None else shards()._unique_id,
            rule=self._rules[index],
            adagrad=self._settings.adagrad_parameters(decay, dtype, float(tensorflow_ops.own_dtype(variable).max)),
            is_sparse=is_sparse,
            rank=variable.shape.rank,
            dtype=dtype,
            explain=self._settings.explain,
        )

    # What it tells.

    def _is_built(self) -> bool:
        return getattr(self, "_built", False)

    def _value(self, variable: tf.Variable) -> np.ndarray:
        # By way of a tensor, since a mirrored variable has no numpy().
        return tf.convert_to_tensor(variable).numpy()

    @property
    def clipping_factors(self) -> list[tf.Tensor]:
        """The factor of each variable's last step, in the order of the variables; empty without ``explain``."""
        if not self._is_built() or not self._settings.explain:
            return []
        return tf.unstack(tf.convert_to_tensor(self._state.numbers)[:, 0])

    def get_config(self) -> dict[str, Any]:
        """All arguments: a restored optimizer equals this one."""
        own = {"learning_rate": self._serialize_hyperparameter(self._learning_rate)}
        return super().get_config() | own | self._settings.get_config(tf_keras.optimizers.schedules.serialize)


def schedule(config: Any) -> Any:
    """A Keras 2 schedule from its configuration; anything else as it is."""
    return tf_keras.optimizers.schedules.deserialize(config) if isinstance(config, Mapping) else config

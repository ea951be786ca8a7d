"""Adagrad with a rule of :mod:`.rules`, for Keras 2 (tf_keras).

A step has two halves. The first half reads all gradients and computes every factor (:mod:`.step_plan`). The second half
writes the variables if every gradient is finite (:mod:`.update`). Because no variable is written earlier, one bad
gradient leaves all variables unchanged, and a rule can use a norm over all variables.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from .arguments import AdagradArguments
from .keras_clipping import clip_and_keep_bad
from .programs import Programs, sum_repeated_rows
from .settings import Settings
from .step_plan import State, StepPlan, make_first_state
from .tensorflow_ops import Gradient, Ops, compute_dtype, get_values, replace_values, storage_dtype
from .tensorflow_step import TensorflowStep
from .variable_spec import VariableSpec


@tf_keras.utils.register_keras_serializable("steadyrank")
class Adagrad(AdagradArguments, tf_keras.optimizers.Optimizer):
    r"""Adagrad with a rule that bounds its steps and with protection against bad gradients.

    When to use it: to choose among the rules, or to give groups of variables their own rules. For Clippy with the
      argument names
    of TensorFlow Recommenders, use :class:`~.clippy_adagrad.ClippyAdagrad`.

    Formula, element-wise. For a rule with the order ``before``, ``before`` is sigma and ``after`` is 1. For a rule with
    the order ``after``, it is the reverse::

        g <- before * g
        G <- G + g^2
        w <- w - after * eta * (g / sqrt(G + epsilon) + weight_decay * w)

    *Safety.* If a coordinate of any gradient is NaN, infinite or beyond ``gradient_limit``, the optimizer skips the
      whole step: no
    weight and no accumulator changes, on any replica. It counts skipped steps (:attr:`skipped_steps`,
    :meth:`read_nonfinite_gradients`). If more than ``max_skipped_steps`` steps in a row are bad, the optimizer raises
    ``tf.errors.InvalidArgumentError``, which names a variable. (XLA drops this error if the whole training step is
    compiled with ``jit_compile=True``; the counts remain.) Weights and accumulators stay finite for any gradients and
    any learning rate.

    Reference: Duchi et al., *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, JMLR 2011.
      The
    docstring of each rule cites its own source.

    Args:
      learning_rate: eta, a number of 0 or more or a Keras schedule. Default 0.001.
      rule: A :class:`~.rule.Rule`, its name, its configuration, or None for no clipping. Default None.
      groups: Maps a pattern to the rule for the variables that it matches. A pattern is a regular expression that is
        searched for in the variables' names; if several match, the first one applies. A rule of None excludes the group
        from clipping. Each pattern must match a variable. Default: no groups.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      epsilon: Added to G under the root, so that the root is above 0. Default 1e-7.
      explain: Whether to record the explanations that :meth:`read_explanations` returns. A checkpoint can be restored
        with another value. Default False, which costs nothing.
      skip_nonfinite: Whether to skip steps with a bad gradient. Default True.
      gradient_limit: Largest absolute value that a coordinate of a good gradient may have. The square of a larger value
        would dominate the accumulator, and the weight would never move again. Default 1e10.
      max_skipped_steps: Number of steps in a row that may be skipped; None for no limit. Default 20.
      use_standard_accumulator_update: Whether the accumulator takes the gradient before r is computed. With False, r is
        computed from the accumulator of the previous steps. Default True.
      clip_accumulator_update: Whether the accumulator takes ``(sigma * g)^2`` although sigma scales the step. Requires
        ``use_standard_accumulator_update=False``. Default False.
      exclude_from_clipping: Patterns of variables that are not clipped; ``groups`` take precedence. Each pattern must
        match a variable. None excludes Keras's embedding tables (``embeddings``), if any exist. Default: no pattern.
      jit_compile: Whether to compile the work on large dense variables with XLA, which halves the time of a step on a
        CPU. Default True.
      name: Name of the optimizer. Default ``Adagrad``.
      **kwargs: Arguments of any Keras optimizer, such as ``weight_decay``, ``clipnorm`` and ``use_ema``. The weight
        decay is part of the step that the rule bounds. If a table has sparse gradients, only the rows in the gradient
        decay.

    Gradients may be dense or sparse (``tf.IndexedSlices``). For a sparse gradient, the optimizer reads and writes only
    the rows in the gradient. Half-precision variables have float32 accumulators. Under a distribution strategy, the
    optimizer computes sigma from the gradient summed over the replicas, and from all shards of a sharded variable.

    Raises:
      ValueError: If an argument is out of range or contradicts another one; in :meth:`build`, if a pattern matches no
        variable.

    Example:
    >>> import tensorflow as tf
    >>> from steadyrank.optimizers import Adagrad, GradientClipping
    >>> w = tf.Variable([3.0, 4.0])
    >>> optimizer = Adagrad(1.0, GradientClipping(1.0), initial_accumulator_value=0.0)
    >>> _ = optimizer.apply_gradients([(tf.constant([30.0, 40.0]), w)])  # g becomes [0.6, 0.8], r becomes 1
    >>> w.numpy()
    array([2., 3.], dtype=float32)
    """

    keras_package = "tf_keras"

    def _initialize(self, learning_rate: Any, checked: Settings, name: str | None, kwargs: dict[str, Any]) -> None:
        self._settings = checked
        self._programs = Programs(checked.jit_compile)
        # None instead of 0, which Keras treats as a decay. jit_compile is False, because Keras would compile each
        # variable separately.
        options = {"weight_decay": None} | kwargs | {"jit_compile": False}
        tf_keras.optimizers.Optimizer.__init__(self, name=name or type(self).__name__, **options)
        self._learning_rate = self._build_learning_rate(learning_rate)

    @staticmethod
    def _deserialize_schedule(config: Any) -> Any:
        return tf_keras.optimizers.schedules.deserialize(config) if isinstance(config, Mapping) else config

    # State and checkpoints.

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates the accumulators, the counts, and the state of the rules and the explanations."""
        super().build(var_list)
        if self._is_built():
            return
        self._names = [variable.name for variable in var_list]
        self._rules = self._no_dependency(self._settings.choose_rules(self._names))
        self._shapes = [tuple(variable.shape) for variable in var_list]
        self._accumulators = [self._add_accumulator(variable) for variable in var_list]
        first_state = make_first_state(self._rules, self._settings.explain)
        self._state = first_state.map(lambda value, name: self._add_state(value, name, var_list[0]), State._fields)
        self._tensorflow_step = TensorflowStep(
            self._settings, self._programs, self._names, self._accumulators, self._state, self._make_spec
        )
        self._built = True
        if hasattr(self, "_coalesced_children"):
            # Keras cached the contents of a checkpoint before the accumulators existed.
            del self._coalesced_children

    def _is_built(self) -> bool:
        return getattr(self, "_built", False)

    def _add_accumulator(self, variable: tf.Variable) -> tf.Variable:
        dtype = compute_dtype(variable)
        value = tf.fill(variable.shape, tf.constant(self._settings.initial_accumulator_value, dtype))
        if storage_dtype(variable) == dtype:
            return self.add_variable_from_reference(variable, "accumulator", initial_value=value)
        # Keras would create it in the variable's half precision, in which a sum of squares soon stops growing.
        with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
            accumulator = tf.Variable(value, trainable=False, name=f"accumulator/{variable.name.partition(':')[0]}")
        self._variables.append(accumulator)
        return accumulator

    def _add_state(self, value: Any, name: str, neighbor: tf.Variable) -> tf.Variable:
        # Colocated with a variable of the model, because a strategy that shards variables does not shard colocated
        # ones.
        with tf.distribute.get_strategy().extended.colocate_vars_with(neighbor):
            state = tf.Variable(value, trainable=False, name=name)
        self._variables.append(state)
        return state

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # Every variable is saved under its own name. Keras also saves a list of all variables. In that list, an index
        # depends on which other variables exist, so restoring with another value of `explain` would mix them up.
        # A SavedModel needs the list, because Keras fills the list of the optimizer that it creates while loading.
        children = super()._trackable_children(save_type, **kwargs)
        return {name: child for name, child in children.items() if name != "_variables" or save_type == "savedmodel"}

    def save_own_variables(self, store: Any) -> None:
        """Writes the optimizer's variables to a ``.keras`` file, by name."""
        for name, variable in self._get_variables_by_name().items():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads the optimizer's variables from a ``.keras`` file; explanations may be missing.

        An optimizer that is not built keeps its first state and warns, as Keras's own optimizers do.
        """
        if not self._is_built() and any(name.startswith("accumulator_") for name in store.keys()):  # noqa: SIM118
            warnings.warn(
                f"the state of the optimizer {self.name} was not loaded, because the optimizer is not built; to load it, "
                "call optimizer.build(model.trainable_variables) before load_weights",
                stacklevel=2,
            )
            return
        for name, variable in self._get_variables_by_name().items():
            if name in store:
                variable.assign(store[name])

    def _get_variables_by_name(self) -> dict[str, tf.Variable]:
        variables = {"iterations": self.iterations}
        if not isinstance(self._learning_rate, tf_keras.optimizers.schedules.LearningRateSchedule):
            variables["learning_rate"] = self._learning_rate
        if not self._is_built():
            return variables
        variables |= {f"accumulator_{i}": accumulator for i, accumulator in enumerate(self._accumulators)}
        averages = self._model_variables_moving_average if self.use_ema else ()
        variables |= {f"average_{i}": average for i, average in enumerate(averages)}
        return variables | {name: entry for name, entry in self._state._asdict().items() if entry is not None}

    # A step.

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Not supported: a step covers all variables, see :meth:`apply_gradients`."""
        raise NotImplementedError("call apply_gradients: a step needs the gradients of all variables")

    def _apply_weight_decay(self, variables: Iterable[tf.Variable]) -> None:
        """Does nothing: the weight decay is part of the step, so that the rule bounds both together."""

    def _clip_gradients(self, grads: Sequence[Gradient]) -> Sequence[Gradient]:
        if not (self.clipvalue or self.clipnorm or self.global_clipnorm) or not self._settings.skip_nonfinite:
            return super()._clip_gradients(grads)
        return clip_and_keep_bad(
            Ops,
            super()._clip_gradients,
            grads,
            limit=self._settings.gradient_limit,
            is_global=bool(self.global_clipnorm),
            get_values=get_values,
            replace_values=replace_values,
        )

    def _deduplicate_sparse_grad(self, grads: Sequence[Gradient]) -> list[Gradient]:
        return [sum_repeated_rows(gradient, self._programs) for gradient in grads]

    def _internal_apply_gradients(self, grads_and_vars: Sequence[tuple[Gradient, tf.Variable]]) -> tf.Tensor:
        gradients, variables = map(list, zip(*grads_and_vars, strict=True))
        strategy = self._distribution_strategy
        plan, operands = self._tensorflow_step.plan(strategy, gradients, variables, self.iterations, self.learning_rate)
        return tf.__internal__.distribute.interim.maybe_merge_call(
            self._write_step, strategy, gradients, variables, plan, operands
        )

    def _write_step(
        self, distribution: Any, gradients: Any, variables: Any, plan: StepPlan, operands: Sequence[Any]
    ) -> tf.Tensor:
        self._tensorflow_step.write(distribution, gradients, variables, plan, operands)
        if self.use_ema:
            # A skipped step does not change the averages either.
            take_step = distribution.experimental_local_results(plan.take_step)[0]
            tf.cond(take_step, lambda: self._update_averages(variables), lambda: None)
        return self.iterations.assign_add(1)

    def _update_averages(self, variables: Any) -> None:
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
                f"the optimizer was built without the variable {variable.name!r}: call build() with all trainable "
                "variables before the first step"
            )
        index = self._index_dict[key]
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        dtype = compute_dtype(variable)
        shards = getattr(variable, "_sharded_container", None)
        return VariableSpec(
            index=index,
            table=index if shards is None else shards()._unique_id,
            rule=self._rules[index],
            adagrad=self._settings.adagrad_parameters(decay, dtype, float(storage_dtype(variable).max)),
            is_sparse=is_sparse,
            rank=variable.shape.rank,
            dtype=dtype,
            explain=self._settings.explain,
        )

    # Reports and configuration.

    def _read_value(self, variable: tf.Variable) -> np.ndarray:
        # A mirrored variable has no numpy(), hence the tensor.
        return tf.convert_to_tensor(variable).numpy()

    @property
    def clipping_factors(self) -> list[tf.Tensor]:
        """The factors of the last step, in the order of the variables; empty without ``explain``."""
        if not self._is_built() or not self._settings.explain:
            return []
        return tf.unstack(tf.convert_to_tensor(self._state.numbers)[:, 0])

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments, so that ``from_config`` makes an equal optimizer."""
        learning_rate = self._serialize_hyperparameter(self._learning_rate)
        settings = self._settings.get_config(tf_keras.optimizers.schedules.serialize)
        return super().get_config() | {"learning_rate": learning_rate} | settings

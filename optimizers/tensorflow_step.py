"""Takes one step on TensorFlow, for Keras 2 and Keras 3: plans it on each replica, writes it on all together.

A strategy that mirrors variables merges its replicas between the two halves. The halves are therefore two methods,
:meth:`TensorflowStep.plan` and :meth:`TensorflowStep.write`, which the optimizer calls in this order.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from .measurement import choose_block_rows
from .programs import Programs
from .settings import Settings
from .skipped_steps import fail_after_too_many
from .step_plan import SKIPPED_IN_A_ROW, State, StepPlan, plan_step
from .tensorflow_ops import Gradient, Ops, read_operands, storage_dtype
from .update import Decision, compute_changes
from .variable_spec import Operands, VariableSpec


class TensorflowStep:
    """Takes the steps of one optimizer.

    Args:
      settings: The settings of the optimizer.
      programs: Compiles the work on large dense variables.
      names: Names of the variables.
      accumulators: Accumulators of the variables.
      state: The state variables.
      make_spec: Makes the spec of a variable from the variable and whether its gradient is sparse.
    """

    def __init__(
        self,
        settings: Settings,
        programs: Programs,
        names: Sequence[str],
        accumulators: Sequence[tf.Variable],
        state: State,
        make_spec: Callable[[tf.Variable, bool], VariableSpec],
    ):
        self._settings = settings
        self._programs = programs
        self._names = names
        self._accumulators = accumulators
        self._state = state
        self._make_spec = make_spec

    def plan(
        self,
        distribution: tf.distribute.Strategy,
        gradients: Sequence[Gradient],
        variables: Sequence[tf.Variable],
        step: Any,
        eta: Any,
    ) -> tuple[StepPlan, list[Operands | tuple[()]]]:
        """The first half, on one replica: plans the step; raises in the graph after too many skipped steps in a row.

        Args:
          distribution: The strategy.
          gradients: The gradients, summed over the replicas. The rows of a sparse gradient are distinct.
          variables: The variable of each gradient.
          step: The step, counted from 0.
          eta: The learning rate.

        Returns:
          The plan, and for each variable the operands of a sparse gradient or an empty tuple for a dense one. With
          them, :meth:`write` need not read the rows again.
        """
        specs = [self._make_spec(v, isinstance(g, tf.IndexedSlices)) for g, v in zip(gradients, variables, strict=True)]
        is_compiled = self._is_compiled(distribution, specs, variables)
        if is_compiled:
            specs = [
                spec if spec.is_sparse else dataclasses.replace(spec, block_rows=choose_block_rows(variable.shape))
                for spec, variable in zip(specs, variables, strict=True)
            ]
        operands = [
            read_operands(variable, self._accumulators[spec.index], gradient)
            for spec, gradient, variable in zip(specs, gradients, variables, strict=True)
        ]
        plan = plan_step(
            Ops,
            functools.partial(self._programs.call_each, is_compiled=is_compiled),
            specs,
            operands,
            [gradient.indices if spec.is_sparse else None for spec, gradient in zip(specs, gradients, strict=True)],
            step=tf.convert_to_tensor(step),
            eta=tf.convert_to_tensor(eta),
            state=self._state.map(tf.convert_to_tensor),
            skip_nonfinite=self._settings.skip_nonfinite,
        )
        if plan.state.numbers is not None:
            # Delays all writes until everything was read, because TensorFlow copies a variable that is still being
            # read.
            with tf.control_dependencies([plan.state.numbers, plan.state.integers]):
                plan = plan._replace(eta=tf.identity(plan.eta))
        allowed = self._settings.allowed_skips
        if allowed is not None:
            messages = self._settings.failure_messages([self._names[spec.index] for spec in specs])
            fail_after_too_many(plan.state.counts, plan.is_finite, allowed, messages)
        return plan, [values if spec.is_sparse else () for spec, values in zip(specs, operands, strict=True)]

    def write(
        self,
        distribution: Any,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        plan: StepPlan,
        operands: Sequence[Any],
    ) -> None:
        """The second half, on all replicas together: writes weights, accumulators and state.

        Args:
          distribution: The strategy.
          gradients: As for :meth:`plan`; under a strategy that merges replicas, the gradients of all replicas.
          variables: The variable of each gradient.
          plan: The first result of :meth:`plan`.
          operands: The second result of :meth:`plan`.
        """
        get_local = distribution.experimental_local_results
        specs = [
            self._make_spec(variable, isinstance(get_local(gradient)[0], tf.IndexedSlices))
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        replicas = len(get_local(variables[0]))
        is_compiled = (replicas == 1 or tf.distribute.in_cross_replica_context()) and self._is_compiled(
            distribution, specs, variables
        )
        compiled = [position for position, spec in enumerate(specs) if is_compiled and not spec.is_sparse]
        for replica in range(replicas if compiled else 0):
            self._write_in_program(
                [specs[position] for position in compiled],
                [get_local(variables[position])[replica] for position in compiled],
                [get_local(gradients[position])[replica] for position in compiled],
                [Decision(*(get_local(x)[replica] for x in plan.decision(position))) for position in compiled],
                replica,
                distribution,
            )
        for position, spec in enumerate(specs):
            if position not in compiled:
                write = functools.partial(
                    _write_variable, spec, self._accumulators[spec.index], is_shared=_is_shared(distribution)
                )
                arguments = (gradients[position], operands[position], plan.decision(position))
                distribution.extended.update(variables[position], write, args=arguments, group=False)
        self._write_state(distribution, plan)

    def _is_compiled(self, distribution: Any, specs: Sequence[VariableSpec], variables: Sequence[tf.Variable]) -> bool:
        # A parameter server strategy spreads its variables over several machines, and one program cannot access them
        # all.
        if _is_shared(distribution):
            return False
        shapes = [variable.shape for spec, variable in zip(specs, variables, strict=True) if not spec.is_sparse]
        return self._programs.is_worthwhile(shapes)

    def _write_in_program(
        self,
        specs: Sequence[VariableSpec],
        variables: Sequence[tf.Variable],
        gradients: Sequence[tf.Tensor],
        decisions: Sequence[Decision],
        replica: int,
        distribution: Any,
    ) -> None:
        """Writes one replica's copy of dense variables."""
        local = distribution.experimental_local_results
        accumulators = [local(self._accumulators[spec.index])[replica] for spec in specs]

        def write(gradients: Sequence[tf.Tensor], decisions: Sequence[Decision]) -> None:
            for spec, accumulator, variable, gradient, decision in zip(
                specs, accumulators, variables, gradients, decisions, strict=True
            ):
                _write_variable(spec, accumulator, variable, gradient, (), decision)

        with tf.device(variables[0].device):
            self._programs.run(("write", replica, *(spec.index for spec in specs)), write, gradients, decisions)

    def _write_state(self, distribution: Any, plan: StepPlan) -> None:
        def write_counts(counts: tf.Variable, added: tf.Tensor, new: tf.Tensor) -> None:
            # Workers that train in parallel add up their counts. The skipped steps in a row are those of the last
            # worker to write.
            counts.assign_add(added)
            counts.scatter_nd_update([[SKIPPED_IN_A_ROW]], [new[SKIPPED_IN_A_ROW]])

        arguments = (plan.added_counts, plan.state.counts)
        distribution.extended.update(self._state.counts, write_counts, args=arguments, group=False)
        for variable, value in zip(self._state[1:], plan.state[1:], strict=True):
            if variable is not None:
                distribution.extended.update(variable, lambda old, new: old.assign(new), args=(value,), group=False)


def _write_variable(
    spec: VariableSpec,
    accumulator: tf.Variable,
    variable: tf.Variable,
    gradient: Gradient,
    operands: Operands | tuple[()],
    decision: Decision,
    is_shared: bool = False,
) -> None:
    operands = Operands(*operands) if operands else read_operands(variable, accumulator, gradient)
    changes = compute_changes(Ops, spec, operands, decision)
    before = (operands.w, operands.accumulator)
    for target, old, change in zip((variable, accumulator), before, changes, strict=True):
        dtype = storage_dtype(target)
        if not isinstance(gradient, tf.IndexedSlices):
            target.assign_add(tf.cast(change, dtype))
        elif is_shared:
            # Adds instead of assigning, so that parallel workers do not overwrite each other's steps.
            target.scatter_add(tf.IndexedSlices(tf.cast(change, dtype), gradient.indices))
        else:
            # Assigning rows takes TensorFlow a third of the time of adding them.
            target.scatter_update(tf.IndexedSlices(tf.cast(old + change, dtype), gradient.indices))


def _is_shared(distribution: Any) -> bool:
    """Whether workers that train in parallel share the variables."""
    return isinstance(distribution, tf.distribute.ParameterServerStrategy)

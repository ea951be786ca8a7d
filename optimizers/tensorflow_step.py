"""One step on TensorFlow, for Keras 2 and Keras 3: measured on each replica, written on all together.

The mathematics is that of :mod:`.parts`, the decisions are those of :mod:`.steps`. A strategy that holds copies of the
variables merges its replicas between the two halves, and so the shells call them one after the other.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from . import tensorflow_ops
from .measurement import choose_block_rows
from .settings import Settings
from .step_plan import SKIPPED_IN_A_ROW, State, StepPlan, plan_step
from .tensorflow_ops import Gradient, Ops, Programs
from .update import compute_changes
from .variable_spec import Operands, VariableSpec


class TensorflowStep:
    """Takes the steps of one optimizer.

    Args:
      settings: The optimizer's.
      programs: Compile the measuring and writing of large dense variables.
      names: Of the variables.
      accumulators: Of the variables.
      state: The variables that hold what is kept.
      make_spec: Makes a variable's spec; told whether its gradient is sparse.
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
    ) -> tuple[StepPlan, list[Any]]:
        """The first half, on one replica: decides; raises, in the graph, when too many steps in a row had to be skipped.

        Args:
          distribution: The strategy.
          gradients: Summed over the replicas, the rows of sparse ones distinct.
          variables: For each gradient.
          step: The optimizer's step, counted from 0.
          eta: The learning rate.

        Returns:
          The plan; and what each sparse gradient touches, an empty tuple for a dense one, so that no row is read again.
        """
        chosen = [
            self._make_spec(v, isinstance(g, tf.IndexedSlices)) for g, v in zip(gradients, variables, strict=True)
        ]
        compiled = self._compiles(distribution, chosen, variables)
        if compiled:
            chosen = [
                spec if spec.is_sparse else dataclasses.replace(spec, block_rows=choose_block_rows(variable.shape))
                for spec, variable in zip(chosen, variables, strict=True)
            ]
        touched = [
            tensorflow_ops.read(variable, self._accumulators[spec.index], gradient)
            for spec, gradient, variable in zip(chosen, gradients, variables, strict=True)
        ]
        plan = plan_step(
            Ops,
            functools.partial(self._programs.each, compiled=compiled),
            chosen,
            touched,
            [gradient.indices if spec.is_sparse else None for spec, gradient in zip(chosen, gradients, strict=True)],
            step=tf.convert_to_tensor(step),
            eta=tf.convert_to_tensor(eta),
            state=self._state.map(tf.convert_to_tensor),
            skip_nonfinite=self._settings.skip_nonfinite,
        )
        if plan.state.numbers is not None:
            # Written is after everything was read: TensorFlow would copy a variable that somebody still reads.
            with tf.control_dependencies([plan.state.numbers, plan.state.integers]):
                plan = plan._replace(eta=tf.identity(plan.eta))
        allowed = self._settings.allowed_skips
        if allowed is not None:
            messages = self._settings.failures([self._names[spec.index] for spec in chosen])
            tensorflow_ops.fail_if_skipping(plan.state.counts, plan.is_finite, allowed, messages)
        return plan, [values if spec.is_sparse else () for spec, values in zip(chosen, touched, strict=True)]

    def write(
        self,
        distribution: Any,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        plan: StepPlan,
        read_before: Sequence[Any],
    ) -> None:
        """The second half, on all replicas together: writes weights, accumulators and what is kept.

        Args:
          distribution: The strategy.
          gradients: As for :meth:`plan`; of all replicas, under a strategy that merges them.
          variables: For each gradient.
          plan: What the first half decided.
          read_before: What it returned beside the plan.
        """
        chosen = []
        for gradient, variable in zip(gradients, variables, strict=True):
            one = distribution.experimental_local_results(gradient)[0]
            chosen.append(self._make_spec(variable, isinstance(one, tf.IndexedSlices)))
        copies = len(distribution.experimental_local_results(variables[0]))
        compiled = (copies == 1 or tf.distribute.in_cross_replica_context()) and self._compiles(
            distribution, chosen, variables
        )
        in_programs = [place for place, spec in enumerate(chosen) if compiled and not spec.is_sparse]
        for copy in range(copies if in_programs else 0):
            self._write_in_program(distribution, copy, gradients, variables, plan, chosen, in_programs)
        for place, spec in enumerate(chosen):
            if place not in in_programs:
                arguments = (gradients[place], read_before[place], plan.sigmas[place], plan.eta, plan.take_step)
                write = functools.partial(
                    self._write, spec, self._accumulators[spec.index], shared=_is_shared(distribution)
                )
                distribution.extended.update(variables[place], write, args=arguments, group=False)
        self._keep(distribution, plan)

    def _compiles(self, distribution: Any, chosen: Sequence[VariableSpec], variables: Sequence[tf.Variable]) -> bool:
        # A parameter server's variables lie on other machines, one here and one there: no program holds them all.
        if _is_shared(distribution):
            return False
        return self._programs.worth([v.shape for spec, v in zip(chosen, variables, strict=True) if not spec.is_sparse])

    def _write_in_program(
        self,
        distribution: Any,
        copy: int,
        gradients: Sequence[Any],
        variables: Sequence[tf.Variable],
        plan: StepPlan,
        chosen: Sequence[VariableSpec],
        places: Sequence[int],
    ) -> None:
        """Writes one replica's copy of the variables at ``places``."""

        def local(value: Any) -> Any:
            return distribution.experimental_local_results(value)[copy]

        parts = [chosen[place] for place in places]
        targets = [local(variables[place]) for place in places]
        accumulators = [local(self._accumulators[spec.index]) for spec in parts]

        def write(
            dense: Sequence[tf.Tensor], sigmas: Sequence[tf.Tensor], eta: tf.Tensor, take_step: tf.Tensor
        ) -> None:
            for spec, target, accumulator, gradient, sigma in zip(
                parts, targets, accumulators, dense, sigmas, strict=True
            ):
                self._write(spec, accumulator, target, gradient, (), sigma, eta, take_step)

        each = ([local(gradients[place]) for place in places], [local(plan.sigmas[place]) for place in places])
        with tf.device(targets[0].device):
            key = ("write", copy, *(spec.index for spec in parts))
            self._programs.run(key, write, *each, local(plan.eta), local(plan.take_step))

    def _write(
        self,
        spec: VariableSpec,
        accumulator: tf.Variable,
        variable: tf.Variable,
        gradient: Gradient,
        read_before: Sequence[tf.Tensor],
        sigma: tf.Tensor,
        eta: tf.Tensor,
        take_step: tf.Tensor,
        shared: bool = False,
    ) -> None:
        touched = Operands(*read_before) if read_before else tensorflow_ops.read(variable, accumulator, gradient)
        amounts = compute_changes(Ops, spec, touched, sigma, eta, take_step)
        for target, old, amount in zip((variable, accumulator), (touched.w, touched.accumulator), amounts, strict=True):
            dtype = tensorflow_ops.own_dtype(target)
            if not isinstance(gradient, tf.IndexedSlices):
                target.assign_add(tf.cast(amount, dtype))
            elif shared:
                # Adding, not assigning: workers that train side by side lose nothing of one another's steps.
                target.scatter_add(tf.IndexedSlices(tf.cast(amount, dtype), gradient.indices))
            else:
                # TensorFlow copies rows in a third of the time in which it adds them.
                target.scatter_update(tf.IndexedSlices(tf.cast(old + amount, dtype), gradient.indices))

    def _keep(self, distribution: Any, plan: StepPlan) -> None:
        def count(counts: tf.Variable, more: tf.Tensor, new: tf.Tensor) -> None:
            # Workers that train side by side count together; what is in a row is as the last of them saw it.
            counts.assign_add(more)
            counts.scatter_nd_update([[SKIPPED_IN_A_ROW]], [new[SKIPPED_IN_A_ROW]])

        given = (plan.added_counts, plan.state.counts)
        distribution.extended.update(self._state.counts, count, args=given, group=False)
        for kept, new in zip(self._state[1:], plan.state[1:], strict=True):
            if kept is not None:
                distribution.extended.update(kept, lambda old, to: old.assign(to), args=(new,), group=False)


def _is_shared(distribution: Any) -> bool:
    """Whether workers that train side by side share the variables."""
    return isinstance(distribution, tf.distribute.ParameterServerStrategy)

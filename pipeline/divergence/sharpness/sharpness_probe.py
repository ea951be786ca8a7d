"""Measures the sharpness of a loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow as tf

from .hessian import Vector, make_hessian_product
from .power_iteration import find_largest_eigenvalue
from .variables import get_sum_dtype, unwrap_variable, unwrap_variables

_Kind = Literal["plain", "preconditioned"]


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """The eigenvalue of largest magnitude of a Hessian.

    Attributes:
      sharpness: The eigenvalue of H, with its sign; NaN if a number on the way was not finite. Before it has converged, its
        magnitude is below the true one.
      preconditioned: That of P H; None without accumulators.
      iterations: Products with the Hessian, for both together.
      converged: Whether every eigenvalue settled within the tolerance.
    """

    sharpness: float
    preconditioned: float | None
    iterations: int
    converged: bool


class SharpnessProbe:
    """Measures the sharpness of one loss again and again, with one compiled function.

    Each call takes one forward and one backward pass; each iteration differentiates the gradient once more along a vector, which takes
    about twice as long as a gradient.

    The vectors are as large as the variables, so leave large embedding tables out if memory is short. During a call, up to four such
    vectors exist beside what a training step needs, six with accumulators; with ``warm_start``, one remains between calls, and
    another one for the preconditioned sharpness.

    Args:
      loss_fn: Computes the loss, a scalar, from the variables and what the probe is called with. It is traced once for batches of the
        same structure and shapes, without AutoGraph.
      variables: Built variables of Keras 2, Keras 3 or TensorFlow, with respect to which the loss is differentiated.
      epsilon: The optimizer's epsilon, added to the accumulators under the root. Default 1e-7.
      seed: Of the first vector. Default 0.
      warm_start: Begin with the last vector of the call before, which saves most iterations. The probe then follows one direction, and
        is late to find another one that suddenly becomes steeper; call :meth:`reset` now and then. Default False.

    Raises:
      ValueError: If there is no variable.

    Example:
    >>> w = tf.Variable([1.0, 1.0])
    >>> probe = SharpnessProbe(lambda: 10.0 * w[0] ** 2 + w[1] ** 2, [w])
    >>> round(probe().sharpness, 1)
    20.0
    """

    def __init__(
        self,
        loss_fn: Callable[..., Any],
        variables: Sequence[Any],
        *,
        epsilon: float = 1e-7,
        seed: int = 0,
        warm_start: bool = False,
    ):
        self._loss_fn = loss_fn
        self._variables = unwrap_variables(variables)
        self._epsilon = epsilon
        self._seed = seed
        self._warm_start = warm_start
        self._last_vectors: dict[_Kind, list[tf.Tensor]] = {}
        self._compiled = tf.function(self._measure, autograph=False, reduce_retracing=True)

    def __call__(
        self, *batch: Any, accumulators: Sequence[Any] | None = None, iterations: int = 20, tolerance: float = 1e-2
    ) -> Sharpness:
        """Measures the sharpness at the present values of the variables.

        Args:
          *batch: What the loss is computed from: tensors, or structures of tensors.
          accumulators: Adagrad's accumulators G, in the order and shapes of the variables; see
            :func:`~.accumulators.find_adagrad_accumulators`. Default: none, and no preconditioned sharpness.
          iterations: Largest number of products with the Hessian, for each of the two. Default 20.
          tolerance: Stop when the eigenvalue changes by less than this share of itself. Default 1e-2.

        Raises:
          ValueError: If the loss is not a scalar or depends on no variable, if there is not one accumulator for each variable, or if
            ``iterations`` or ``tolerance`` is out of range.
        """
        if iterations < 1:
            raise ValueError(f"iterations must be 1 or more, got {iterations}")
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be 0 or more, got {tolerance}")
        kinds: list[_Kind] = ["plain"]
        tensors = None
        if accumulators is not None:
            if len(accumulators) != len(self._variables):
                raise ValueError(
                    f"accumulators must hold one tensor for each of {len(self._variables)} variables, got {len(accumulators)}"
                )
            kinds.append("preconditioned")
            tensors = [tf.convert_to_tensor(unwrap_variable(accumulator)) for accumulator in accumulators]
        starts = [self._last_vectors.get(kind) or self._make_first_vector() for kind in kinds]
        measured = self._compiled(starts, tensors, tf.constant(iterations), tf.constant(tolerance, tf.float64), batch)
        values: dict[_Kind, float] = {}
        counts, converged = [], []
        for kind, (numbers, vector) in zip(kinds, measured, strict=True):
            value, count, has_settled = (float(number) for number in numbers.numpy())
            values[kind] = value
            counts.append(int(count))
            converged.append(bool(has_settled))
            self._last_vectors.pop(kind, None)
            # After 0 or NaN the vector is not a direction.
            if self._warm_start and math.isfinite(value) and value:
                self._last_vectors[kind] = vector
        return Sharpness(values["plain"], values.get("preconditioned"), sum(counts), all(converged))

    def reset(self) -> None:
        """Makes the next call begin with the first vector again."""
        self._last_vectors.clear()

    def _make_first_vector(self) -> list[tf.Tensor]:
        return [
            tf.random.stateless_normal(variable.shape, seed=[self._seed, i], dtype=get_sum_dtype(variable))
            for i, variable in enumerate(self._variables)
        ]

    def _measure(
        self,
        starts: list[list[tf.Tensor]],
        accumulators: list[tf.Tensor] | None,
        iterations: tf.Tensor,
        tolerance: tf.Tensor,
        batch: tuple[Any, ...],
    ) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
        """The results of the power iterations from each of the starts."""
        compute_product = make_hessian_product(lambda: self._loss_fn(*batch), self._variables)
        products = [compute_product]
        if accumulators is not None:
            # P^(1/2) H P^(1/2) has the eigenvalues of P H but is symmetric.
            roots = [
                tf.pow(tf.cast(accumulator, get_sum_dtype(variable)) + self._epsilon, -0.25)
                for accumulator, variable in zip(accumulators, self._variables, strict=True)
            ]
            products.append(lambda vector: _multiply(roots, compute_product(_multiply(roots, vector))))
        return [
            find_largest_eigenvalue(product, start, iterations, tolerance)
            for product, start in zip(products, starts, strict=True)
        ]


def compute_sharpness(
    loss_fn: Callable[[], Any],
    variables: Sequence[Any],
    *,
    accumulators: Sequence[Any] | None = None,
    iterations: int = 20,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> Sharpness:
    """Measures the sharpness of a loss once. To measure again, use a :class:`SharpnessProbe`, which compiles only once.

    Args:
      loss_fn: Computes the loss, a scalar, on one fixed batch.
      variables, seed: See :class:`SharpnessProbe`.
      accumulators, iterations, tolerance: See :meth:`SharpnessProbe.__call__`.

    Raises:
      ValueError: As :class:`SharpnessProbe`.

    Example:
    >>> w = tf.Variable([1.0, 1.0])
    >>> round(compute_sharpness(lambda: 10.0 * w[0] ** 2 + w[1] ** 2, [w]).sharpness, 1)
    20.0
    """
    probe = SharpnessProbe(loss_fn, variables, seed=seed)
    return probe(accumulators=accumulators, iterations=iterations, tolerance=tolerance)


def _multiply(factors: Sequence[tf.Tensor], vector: Vector) -> list[tf.Tensor]:
    return [factor * part for factor, part in zip(factors, vector, strict=True)]

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
      sharpness: The eigenvalue of H, with its sign; NaN if a product was not finite. Without convergence, its magnitude
        is below the true value.
      preconditioned: The eigenvalue of P H; None without accumulators.
      iterations: Number of products with the Hessian, for both eigenvalues together.
      converged: Whether all eigenvalues settled within the tolerance.
    """

    sharpness: float
    preconditioned: float | None
    iterations: int
    converged: bool


class SharpnessProbe:
    """Measures the sharpness of a loss repeatedly, with one compiled function.

    Each call takes one forward and one backward pass. Each iteration also differentiates the gradient along a vector,
    which takes about twice as long as a gradient.

    The vectors are as large as the variables, so leave out large embedding tables to save memory. During a call, the
    probe holds up to four such vectors in addition to the memory of a training step, or six with accumulators. With
    ``warm_start``, it keeps one between calls, and another one for the preconditioned sharpness.

    Args:
      loss_fn: Computes the scalar loss from the variables and the arguments of the call. It is traced without
        AutoGraph, once for batches of the same structure and shapes.
      variables: Built variables of Keras 2, Keras 3 or TensorFlow for the derivatives.
      epsilon: The optimizer's epsilon, added to the accumulators under the root. Default 1e-7.
      seed: Seed of the first vector. Default 0.
      warm_start: Start from the last vector of the previous call, which saves most iterations. The probe then follows
        one direction and is slow to find a new one that suddenly becomes steeper. Call :meth:`reset` periodically.
        Default False.

    Raises:
      ValueError: If ``variables`` is empty.

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
        """Measures the sharpness at the current values of the variables.

        Args:
          *batch: The arguments of ``loss_fn``: tensors, or structures of tensors.
          accumulators: Adagrad's accumulators G, in the order and shapes of the variables; see
            :func:`~.accumulators.find_adagrad_accumulators`. Without them, there is no preconditioned sharpness.
            Default: none.
          iterations: Largest number of products with the Hessian for each eigenvalue. Default 20.
          tolerance: Stop when the eigenvalue changes by less than this share of itself. Default 1e-2.

        Raises:
          ValueError: If the loss is not a scalar or depends on no variable, if the number of accumulators differs from
            the number of variables, or if ``iterations`` or ``tolerance`` is out of range.
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
            # For an eigenvalue of 0 or NaN, the vector has no direction.
            if self._warm_start and math.isfinite(value) and value:
                self._last_vectors[kind] = vector
        return Sharpness(values["plain"], values.get("preconditioned"), sum(counts), all(converged))

    def reset(self) -> None:
        """Makes the next call start from the first vector."""
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
        """Runs one power iteration for each start vector."""
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
    """Measures the sharpness of a loss once. For repeated measurements, use :class:`SharpnessProbe`, which compiles once.

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

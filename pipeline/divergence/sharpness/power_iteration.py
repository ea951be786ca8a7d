"""Computes the eigenvalue of largest magnitude of a symmetric matrix from products with vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .hessian import Vector

# A residual below this share of the squared length is mostly rounding error, so it defines no second direction.
_MIN_RESIDUAL_SHARE = 1e-3


class _Iteration(NamedTuple):
    """The state of a power iteration. All attributes except for the vector are scalars.

    Attributes:
      count: Number of products so far.
      has_settled: Whether the eigenvalue is within the tolerance.
      is_nonfinite: Whether a product was not finite.
      value: The current estimate of the eigenvalue.
      quotient: ``<v, A v>`` of the last product.
      length: ``|A v|`` of the last product.
      vector: The next v, of length 1.
    """

    count: tf.Tensor
    has_settled: tf.Tensor
    is_nonfinite: tf.Tensor
    value: tf.Tensor
    quotient: tf.Tensor
    length: tf.Tensor
    vector: list[tf.Tensor]


def find_largest_eigenvalue(
    compute_product: Callable[[Vector], list[tf.Tensor]],
    start: Vector,
    iterations: tf.Tensor,
    tolerance: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Finds the eigenvalue of largest magnitude of a symmetric matrix A by power iteration, in the graph.

    The estimate is the eigenvalue of A restricted to the plane of two successive vectors. This equals two Lanczos steps
    and needs no further products. So the estimate converges even for two eigenvalues of equal magnitude and opposite
    signs. Once the vector has settled, the estimate equals the Rayleigh quotient.

    Args:
      compute_product: Computes A v.
      start: The first vector.
      iterations: Largest number of products.
      tolerance: Stop when the eigenvalue changes by less than this share of itself.

    Returns:
      A pair. The first element, ``[3]`` and float64, holds the eigenvalue (NaN if a product was not finite), the number
      of products, and whether the eigenvalue has settled. The second element is the last vector, of length 1.
    """
    nan, zero = tf.constant(math.nan, tf.float64), tf.zeros([], tf.float64)

    def should_continue(state: _Iteration) -> tf.Tensor:
        return (state.count < iterations) & ~state.has_settled & ~state.is_nonfinite

    def iterate(state: _Iteration) -> tuple[_Iteration]:
        product = compute_product(state.vector)
        quotient, length = _dot(state.vector, product), tf.sqrt(_dot(product, product))
        is_nonfinite = ~(tf.math.is_finite(quotient) & tf.math.is_finite(length))
        is_flat = length == 0
        is_first = state.count == 0
        value = tf.where(is_first, quotient, _largest_eigenvalue_in_plane(state.quotient, state.length, quotient))
        is_near = ~is_first & (tf.abs(value - state.value) < tolerance * tf.abs(value))
        next_state = _Iteration(
            count=state.count + 1,
            has_settled=~is_nonfinite & (is_flat | is_near),
            is_nonfinite=is_nonfinite,
            value=tf.where(is_nonfinite, nan, tf.where(is_flat, zero, value)),
            quotient=quotient,
            length=length,
            vector=_divide(product, length),
        )
        return (next_state,)

    false = tf.constant(False)
    unit = _divide(start, tf.sqrt(_dot(start, start)))
    begin = _Iteration(tf.constant(0), false, false, nan, nan, nan, unit)
    (end,) = tf.while_loop(should_continue, iterate, (begin,), parallel_iterations=1)
    return tf.stack([end.value, *(tf.cast(scalar, tf.float64) for scalar in (end.count, end.has_settled))]), end.vector


def _largest_eigenvalue_in_plane(quotient: tf.Tensor, length: tf.Tensor, next_quotient: tf.Tensor) -> tf.Tensor:
    """Computes the larger eigenvalue, by magnitude, of A restricted to the plane of v and A v, for a v of length 1.

    Args:
      quotient: ``<v, A v>``.
      length: ``|A v|``.
      next_quotient: ``<u, A u>`` for ``u = A v / |A v|``.
    """
    # In the basis of v and the component of A v orthogonal to v, the matrix is [[a, b], [b, c]].
    a, square = quotient, tf.square(length)
    b_square = square - tf.square(a)
    c = (square * next_quotient - a * tf.square(a) - 2.0 * a * b_square) / b_square
    middle = (a + c) / 2.0
    radius = tf.sqrt(tf.square((a - c) / 2.0) + b_square)
    outer = tf.where(middle < 0, middle - radius, middle + radius)
    return tf.where(b_square > _MIN_RESIDUAL_SHARE * square, outer, next_quotient)


def _divide(vector: Vector, length: tf.Tensor) -> list[tf.Tensor]:
    return [part / tf.cast(length, part.dtype) for part in vector]


def _dot(first: Vector, second: Vector) -> tf.Tensor:
    return tf.add_n([tf.cast(tf.reduce_sum(a * b), tf.float64) for a, b in zip(first, second, strict=True)])

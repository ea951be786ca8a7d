"""Products of the Hessian of a loss with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from .variables import check_scalar

Vector = Sequence[tf.Tensor]
"""One tensor for each variable, in its shape."""


def make_hessian_product(
    loss_fn: Callable[[], object], variables: Sequence[tf.Variable]
) -> Callable[[Vector], list[tf.Tensor]]:
    """Returns a function that computes H v by reverse-over-reverse differentiation: ``H v = d<g, v> / dw``.

    The gradient g is computed once for all products. Sparse gradients stay sparse, but the product is dense. A variable
    without a gradient contributes nothing.

    Args:
      loss_fn: Computes the loss, a scalar.
      variables: The variables w.

    Raises:
      ValueError: If the loss is not a scalar, or depends on no variable.
    """
    # The tape is persistent, because all products differentiate the same gradient.
    with tf.GradientTape(persistent=True) as outer_tape:
        with tf.GradientTape() as tape:
            loss = check_scalar(loss_fn(), "the loss")
        gradients = tape.gradient(loss, variables)
        present = [(i, gradient) for i, gradient in enumerate(gradients) if gradient is not None]
        parts = [gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient for _, gradient in present]
    if not present:
        raise ValueError("the loss depends on none of the variables")

    def compute_product(vector: Vector) -> list[tf.Tensor]:
        directions = [
            tf.cast(tf.gather(vector[i], g.indices) if isinstance(g, tf.IndexedSlices) else vector[i], g.dtype)
            for i, g in present
        ]
        products = outer_tape.gradient(parts, variables, output_gradients=directions)
        return [
            tf.zeros_like(old)
            if new is None
            else tf.ensure_shape(tf.cast(tf.convert_to_tensor(new), old.dtype), old.shape)
            for new, old in zip(products, vector, strict=True)
        ]

    return compute_product

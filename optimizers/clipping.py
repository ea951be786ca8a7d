"""The rules that bound a step, as pure functions that return sigma.

In the paper's frame a step is ``w <- w - sigma * eta * r`` with ``r = g / sqrt(G)``; a rule chooses one ``sigma`` for each
variable. A rule reads tensors and returns a scalar: it knows no variable, no optimizer and no strategy.

Legend: w weights, g gradient, G Adagrad's accumulator, eta learning rate, ``step`` = ``eta * r``; all of one shape.
"""

from __future__ import annotations

import tensorflow as tf


def clippy(step: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """Clippy's factor: the largest sigma in [0, 1] for which no coordinate moves further than it may.

    ``sigma = min(1, min_i allowed_i / abs(step_i))`` (Tang et al., KDD 2023, Algorithm 1). Coordinates that do not move
    bind nothing, even where nothing is allowed. Without coordinates (an empty slice) sigma is 1.

    Args:
      step: The step that would be taken, ``eta * r``.
      allowed: How far each coordinate may move, 0 or more, broadcastable to ``step``.

    Returns:
      A scalar of ``step``'s dtype.
    """
    distance = tf.abs(step)
    room = tf.where(distance == 0, tf.ones_like(distance), tf.math.divide_no_nan(allowed, distance))
    # The minimum over nothing is infinite, and so the factor 1.
    return tf.minimum(tf.ones([], step.dtype), tf.reduce_min(room))


def allowed_step(weights: tf.Tensor, relative: float, absolute: float) -> tf.Tensor:
    """How far Clippy lets each coordinate move: ``relative * abs(w) + absolute``, of ``weights``' shape and dtype.

    ``relative`` (the paper's lambda_rel) lets large weights move in proportion; ``absolute`` (lambda_abs) lets weights
    near 0 move at all.
    """
    return relative * tf.abs(weights) + absolute

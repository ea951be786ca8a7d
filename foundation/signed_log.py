"""The signed logarithm, which compresses both tails of a feature and keeps its sign."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def signed_log(x: Any, ops: Any = np) -> Any:
    """Computes ``sign(x) * log(1 + |x|)``, element by element.

    Args:
      x: Numbers of any shape.
      ops: The namespace of ``sign``, ``log1p`` and ``abs`` for the type of ``x``: ``numpy``, or ``tf.math`` inside a
        graph.

    Example:
    >>> signed_log(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
    [-0.6931, 0.0, 0.6931]
    """
    return ops.sign(x) * ops.log1p(ops.abs(x))


def inverse_signed_log(y: float) -> float:
    """Computes ``sign(y) * (exp(|y|) - 1)``, the inverse of :func:`signed_log`.

    ``|y|`` is limited to 700, so that the result is finite.

    Example:
    >>> round(inverse_signed_log(float(signed_log(np.float64(-12.5)))), 6)
    -12.5
    """
    return math.copysign(math.expm1(min(abs(y), 700.0)), y)

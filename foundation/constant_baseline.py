"""The loss of the best constant prediction, by which a loss is divided to get the *normalized loss*.

A normalized loss of 0 is perfect, 1 is as good as the best constant prediction, and above 1 is worse. For a binary
task, the normalized loss is known as normalized entropy (He et al., *Practical Lessons from Predicting Clicks on Ads at
Facebook*, 2014). For a regression, it is one minus the coefficient of determination.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def constant_cross_entropy(label_mean: Any, prediction: Any, log: Callable[[Any], Any] = math.log) -> Any:
    """Computes the mean cross-entropy of predicting the same probability for every row.

    ``-(m log p + (1 - m) log(1 - p))``; the best constant is p = m.

    Args:
      label_mean: m, the share of positives.
      prediction: p, above 0 and below 1. Inside a training step, pass :func:`smoothed_share`, which meets this
        condition even if a batch has only one class.
      log: The natural logarithm for the type of the arguments, such as ``tf.math.log``.

    Example:
    >>> round(constant_cross_entropy(0.5, 0.5), 4)
    0.6931
    """
    return -(label_mean * log(prediction) + (1.0 - label_mean) * log(1.0 - prediction))


def smoothed_share(positives: Any, rows: Any) -> Any:
    """Returns the share of positives after adding half a row to each class, so that it is never 0 or 1."""
    return (positives + 0.5) / (rows + 1.0)

"""Running mean and standard deviation of values that arrive in parts."""

from __future__ import annotations

from typing import Any

import numpy as np


def merge_moments(
    count: Any, mean: Any, squares: Any, other_count: Any, other_mean: Any, other_squares: Any
) -> tuple[Any, Any, Any]:
    """Merges the moments of two sets of values.

    Let n1 and n2 be the counts and d the difference of the means. The merged mean is ``mean1 + d n2 / (n1 + n2)``, and
    the merged sum is ``squares1 + squares2 + d^2 n1 n2 / (n1 + n2)``. These formulas stay precise when the mean is
    large.

    Reference: Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*,
      1979.

    Args:
      count, other_count: Number of values of each set; numbers or arrays.
      mean, other_mean: Mean of each set; any finite number for an empty set.
      squares, other_squares: Sum of squared deviations from the mean, of each set.

    Returns:
      Count, mean and sum of squared deviations of both sets together.

    Example:
    >>> tuple(map(float, merge_moments(1, 1.0, 0.0, 1, 3.0, 0.0)))
    (2.0, 2.0, 2.0)
    """
    total = count + other_count
    divisor = np.maximum(total, 1)
    difference = other_mean - mean
    merged_squares = squares + (other_squares + difference * difference * count * other_count / divisor)
    return total, mean + difference * other_count / divisor, merged_squares


class Moments:
    """Count, mean and standard deviation of values that arrive in parts.

    See :func:`merge_moments` for the formula. Values that are not finite are left out.

    Args:
      width: Number of columns.

    Attributes:
      count: Number of finite values of each column, ``[width]``.
      mean: Mean of each column, ``[width]``; 0 for a column without values.

    Example:
    >>> moments = Moments(1)
    >>> moments.add(np.array([[1.0], [np.nan]]))
    >>> moments.add(np.array([[3.0]]))
    >>> moments.mean, moments.deviation()
    (array([2.]), array([1.]))
    """

    def __init__(self, width: int):
        self.count = np.zeros(width)
        self.mean = np.zeros(width)
        self._squares = np.zeros(width)

    def add(self, values: np.ndarray) -> None:
        """Adds the rows of ``values``, ``[rows, width]``."""
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        divisor = np.maximum(count, 1)
        mean = np.where(finite, values, 0).sum(axis=0) / divisor
        squares = np.where(finite, np.square(values - mean), 0).sum(axis=0)
        self.count, self.mean, self._squares = merge_moments(self.count, self.mean, self._squares, count, mean, squares)

    def deviation(self) -> np.ndarray:
        """Returns the standard deviation of each column, ``[width]``; 0 for a column without values."""
        return np.sqrt(self._squares / np.maximum(self.count, 1))

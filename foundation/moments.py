"""Running mean and standard deviation of the finite values of some columns."""

from __future__ import annotations

import numpy as np


class Moments:
    """Count, mean and standard deviation of values that arrive in parts.

    Parts are merged with the formula of Chan, Golub and LeVeque (*Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances*, 1979), which loses no precision when the mean is large. Values that are not finite are left out.

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
        """Takes in the rows of ``values``, ``[rows, width]``."""
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        at_least_one = np.maximum(count, 1)
        mean = np.where(finite, values, 0).sum(axis=0) / at_least_one
        squares = np.where(finite, np.square(values - mean), 0).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        difference = mean - self.mean
        self._squares += squares + difference**2 * self.count * count / total
        self.mean = self.mean + difference * count / total
        self.count = self.count + count

    def deviation(self) -> np.ndarray:
        """Returns the standard deviation of each column, ``[width]``; 0 for a column without values."""
        return np.sqrt(self._squares / np.maximum(self.count, 1))

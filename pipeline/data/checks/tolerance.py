"""How far a statistic may be from its usual value.

The usual value is the median over the previous days, and the usual distance is the median distance from it, so one
unusual day does not hide another. All tolerances are wide, because users turn off checks that warn on every holiday and
then miss the day when a column is missing. The probes of training and the evaluation of each day detect slower changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_DISTANCES = 4.0
_STANDARD_ERRORS = 5.0
# Minimum number of previous days for a reliable median distance.
_TRUSTED_DAYS = 3


def median_distance(values: Sequence[float]) -> float:
    """Computes the median of the distances from the median (MAD).

    Example:
    >>> median_distance([1.0, 2.0, 3.0, 100.0])
    1.0
    """
    return float(np.median(np.abs(np.asarray(values) - np.median(values))))


def compute_tolerance(previous: Sequence[float], min_distance: float) -> float:
    """Computes the largest distance from the median that still counts as usual.

    ``min_distance + 4 MAD``, and ``2 min_distance + 4 MAD`` for fewer than three previous days.

    Args:
      previous: The statistic on the previous days.
      min_distance: The smallest relevant distance.

    Example:
    >>> compute_tolerance([1.0, 1.0, 1.0], 0.5), compute_tolerance([1.0], 0.5)
    (0.5, 1.0)
    """
    factor = 1 if len(previous) >= _TRUSTED_DAYS else 2
    return factor * min_distance + _DISTANCES * median_distance(previous)


def is_far(value: float, previous: Sequence[float], min_distance: float, standard_error: float = 0.0) -> bool:
    """Returns whether a value is farther from the median than :func:`compute_tolerance` plus five standard errors.

    Args:
      value: The statistic on the day that is checked.
      previous: The statistic on the previous days.
      min_distance: The smallest relevant distance.
      standard_error: The standard error of ``value``, so that a day with few rows raises no false alarm.

    Example:
    >>> is_far(1.6, [1.0, 1.0, 1.0], 0.5), is_far(1.6, [1.0, 1.0, 1.0], 0.5, standard_error=0.1)
    (True, False)
    """
    distance = abs(value - float(np.median(previous)))
    return distance > compute_tolerance(previous, min_distance) + _STANDARD_ERRORS * standard_error


def log_odds(share: float) -> float:
    """Computes ``log(p / (1 - p))`` of a share p between 0 and 1.

    Example:
    >>> log_odds(0.5)
    0.0
    """
    return math.log(share / (1 - share))

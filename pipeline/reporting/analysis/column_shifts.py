"""Shifts of the columns of a log from one day to the next.

Shapes: D days, C columns.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from .log_days import LogDay

SMALLEST_SHIFT, LARGEST_SHIFT = 0.03, 10.0
"""The range of shifts to show, in standard deviations. Smaller shifts are noise. Larger ones look the same."""
WINDOW = 14
"""Largest number of previous days to compare a day with, because a log may change over months."""

Statistic = Literal["mean", "missing"]
"""``missing`` is the share of rows without a value."""

# The standard deviation of a share p is sqrt(p (1 - p)). Near 0, a few rows would be a large shift.
_SMALLEST_SHARE = 0.01
# Means that agree to this relative precision are equal. The order of summation causes smaller differences.
_SAME_MEAN = 1e-6
_LARGEST_VALUE = 1e300


@dataclasses.dataclass(frozen=True)
class ColumnShift:
    """The shift of one statistic of a column on each day, compared with the days before.

    Attributes:
      column: The column.
      statistic: The statistic.
      values: The statistic on each day, shape ``(D,)``; NaN where unknown.
      shifts: The distance to the usual value in standard deviations of the days before, shape ``(D,)``; infinite where
        the standard deviation was 0, NaN where unknown.
    """

    column: str
    statistic: Statistic
    values: np.ndarray
    shifts: np.ndarray

    @property
    def largest(self) -> float:
        """The largest absolute shift; 0 if none is known."""
        known = np.abs(self.shifts[~np.isnan(self.shifts)])
        return float(known.max(initial=0.0))

    def select_last(self, days: int) -> ColumnShift:
        """Returns the last days only."""
        return dataclasses.replace(self, values=self.values[-days:], shifts=self.shifts[-days:])


def compute_column_shifts(days: Sequence[LogDay]) -> list[ColumnShift]:
    """Computes the shifts of every recorded statistic of every column.

    The usual value on a day is the median of the :data:`WINDOW` days before it. Skipped days do not count, and the
    median ignores a single anomalous day, so neither hides later shifts. The unit is the standard deviation of single
    rows, also as the median of the days before.
    """
    columns = list(dict.fromkeys(column for day in days for column in day.statistics))
    if not columns:
        return []
    means, deviations, missing = (_make_matrix(days, columns, name) for name in ("mean", "deviation", "missing"))
    missing[(missing < 0) | (missing > 1)] = np.nan
    is_used = np.array([not day.is_skipped for day in days])
    # A shift may overflow to infinity. The figure draws it as the largest shift.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # numpy warns about columns that have no value before a day.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean_shifts = _compute_shifts(
            means, _compute_usual_values(means, is_used), _compute_usual_values(deviations, is_used)
        )
        usual_missing = _compute_usual_values(missing, is_used)
        share = np.clip(usual_missing, _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
        missing_shifts = _compute_shifts(missing, usual_missing, np.sqrt(share * (1 - share)))
    result: list[ColumnShift] = []
    for index, column in enumerate(columns):
        for shift in (
            ColumnShift(column, "mean", means[index], mean_shifts[index]),
            ColumnShift(column, "missing", missing[index], missing_shifts[index]),
        ):
            if not np.isnan(shift.values).all():
                result.append(shift)
    return result


def select_largest_shifts(
    shifts: Iterable[ColumnShift], *, labels: Sequence[str], flagged: Sequence[str], limit: int
) -> tuple[list[ColumnShift], int]:
    """Selects the shifts to show.

    The means of the label columns come first, even without a shift, because the ranker learns them. Then come the
    shifts of at least :data:`SMALLEST_SHIFT` and the means of columns with anomalies, sorted from the largest shift to
    the smallest.

    Args:
      shifts: All shifts.
      labels: The label columns.
      flagged: The columns with anomalies.
      limit: Maximum number of shifts to select, labels included.

    Returns:
      The selection, and how many other shifts qualified.
    """
    shifts = list(shifts)
    first = [shift for label in labels for shift in shifts if shift.column == label and shift.statistic == "mean"]
    first_ids = {id(shift) for shift in first}
    moved = [shift for shift in shifts if id(shift) not in first_ids and shift.largest >= SMALLEST_SHIFT]
    selected_columns = {shift.column for shift in (*first, *moved)}
    unmoved = [
        shift
        for shift in shifts
        if shift.column in flagged and shift.column not in selected_columns and shift.statistic == "mean"
    ]
    others = sorted([*moved, *unmoved], key=lambda shift: -shift.largest)
    return [*first, *others][:limit], max(len(first) + len(others) - limit, 0)


def _make_matrix(days: Sequence[LogDay], columns: Sequence[str], name: str) -> np.ndarray:
    """Collects one statistic, shape ``(C, D)``; NaN where unknown."""
    values = [[day.statistics.get(column, {}).get(name, np.nan) for day in days] for column in columns]
    # The median of an even number of days adds two values, which must not overflow.
    return np.clip(np.array(values, np.float64), -_LARGEST_VALUE, _LARGEST_VALUE)


def _compute_usual_values(values: np.ndarray, is_used: np.ndarray) -> np.ndarray:
    """Computes the median of the used days among the last :data:`WINDOW` days, shape ``(C, D)``; NaN without a used day."""
    values = np.where(np.isfinite(values) & is_used, values, np.nan)
    medians = np.full(values.shape, np.nan)
    for day in range(1, values.shape[1]):
        medians[:, day] = np.nanmedian(values[:, max(day - WINDOW, 0) : day], axis=1)
    return medians


def _compute_shifts(values: np.ndarray, usual: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Computes the distances to the usual values in standard deviations, shape ``(C, D)``; infinite if the deviation is 0."""
    differences = values - usual
    differences[np.abs(differences) <= _SAME_MEAN * np.abs(usual)] = 0.0
    return np.where(
        (deviation == 0) & (differences == 0), 0.0, differences / np.where(deviation < 0, np.nan, deviation)
    )

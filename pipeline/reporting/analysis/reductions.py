"""Reductions of a series to the few points or cells that a figure can show.

Every reduction keeps the extremes of a curve, its ends, and the positions of values that are not finite.
"""

from __future__ import annotations

import numpy as np

from .series import Series

MAX_POINTS = 600
"""Number of points of a thinned curve: more than a phone's pixels, but few enough for a page below 1.5 MB."""


def thin(series: Series, limit: int = MAX_POINTS) -> Series:
    """Selects at most ``limit`` points that keep the look of the curve.

    Keeps the first and the last point, and splits the points between them into equal runs. Keeps the smallest value,
    the largest value and one value that is not finite of each run, so that no spike and no NaN is lost.

    Args:
      series: The curve.
      limit: Maximum number of points; 5 or more.
    """
    count = len(series.steps)
    if count <= limit:
        return series
    selected = {0, count - 1}
    for run in np.array_split(np.arange(count), (limit - 2) // 3):
        values = series.values[run]
        finite = np.isfinite(values)
        if finite.any():
            selected.add(run[np.argmin(np.where(finite, values, np.inf))])
            selected.add(run[np.argmax(np.where(finite, values, -np.inf))])
        if not finite.all():
            selected.add(run[np.argmin(finite)])
    order = np.array(sorted(selected))
    return Series(series.steps[order], series.values[order])


def split_at_gaps(series: Series) -> list[Series]:
    """Splits a series into the pieces that a line may join.

    A line breaks where a value is not finite, and where the step goes back because the run resumed from an earlier
    step.
    """
    finite = np.flatnonzero(series.finite_mask)
    if not finite.size:
        return []
    is_gap = (np.diff(finite) > 1) | (np.diff(series.steps[finite]) < 0)
    pieces = np.split(finite, np.flatnonzero(is_gap) + 1)
    return [Series(series.steps[piece], series.values[piece]) for piece in pieces]


def average_by_step(series: Series) -> Series:
    """Averages the finite values of each step, sorted by step. A step without a finite value is left out."""
    steps, values = series.steps[series.finite_mask], series.values[series.finite_mask]
    unique, indices = np.unique(steps, return_inverse=True)
    counts = np.maximum(np.bincount(indices, minlength=len(unique)), 1)
    # Dividing before the sum keeps the mean of huge values finite.
    return Series(unique, np.bincount(indices, weights=values / counts[indices], minlength=len(unique)))


def compute_slice_minima(series: Series, extent: float, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits the steps from 0 to ``extent`` into equal slices and finds the smallest value of each slice.

    As in a run's metrics, a value covers all steps since the previous line. So no slice is empty, even if lines are
    further apart than slices.

    Args:
      series: The values.
      extent: Last step, above 0.
      slices: Number of slices.

    Returns:
      Two arrays of shape ``(slices,)``: the smallest finite value that overlaps each slice (NaN if there is none), and
      whether a value that is not finite overlaps it.
    """
    steps, values = series.steps, series.values
    previous = np.concatenate([[0.0], steps[:-1]]) if steps.size else steps
    starts = np.where(previous < steps, previous, steps)
    # Multiply first, so that integers that divide evenly match the edges of the slices exactly.
    first = np.clip((starts * slices / extent).astype(int), 0, slices - 1)
    last = np.clip(np.ceil(steps * slices / extent).astype(int) - 1, first, slices - 1)
    minima = np.full(slices, np.nan)
    nonfinite = np.zeros(slices, bool)
    finite = series.finite_mask
    # A line seldom overlaps more than two slices, so set the first and last slices of all lines at once.
    for edge in (first, last):
        np.fmin.at(minima, edge[finite], values[finite])
        nonfinite[edge[~finite]] = True
    for line in np.flatnonzero(last - first > 1):
        between = slice(first[line], last[line])
        if finite[line]:
            minima[between] = np.fmin(minima[between], values[line])
        else:
            nonfinite[between] = True
    return minima, nonfinite

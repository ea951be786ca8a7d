"""Reductions of a series to the few points or cells that a figure can show.

Every reduction keeps what a reader must not miss: the extremes of a curve, its ends, and where it was not finite.
"""

from __future__ import annotations

import numpy as np

from .series import Series

MAX_POINTS = 600
"""Points of a thinned curve: more than one for each pixel of a phone, few enough for a page below 1.5 MB."""


def thin(series: Series, limit: int = MAX_POINTS) -> Series:
    """Selects at most ``limit`` points such that the curve looks the same.

    Keeps the first and the last point. The points between them are cut into equal runs; of each run the smallest value, the
    largest value and one value that is not finite are kept, so that neither a spike nor a NaN is lost.

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

    A line breaks where a value is not finite, and where the step goes back because the run rolled back or resumed.
    """
    finite = np.flatnonzero(series.finite_mask)
    if not finite.size:
        return []
    is_gap = (np.diff(finite) > 1) | (np.diff(series.steps[finite]) < 0)
    pieces = np.split(finite, np.flatnonzero(is_gap) + 1)
    return [Series(series.steps[piece], series.values[piece]) for piece in pieces]


def average_by_step(series: Series) -> Series:
    """Averages the finite values of each step. Steps are sorted; a step without a finite value is left out."""
    steps, values = series.steps[series.finite_mask], series.values[series.finite_mask]
    unique, indices = np.unique(steps, return_inverse=True)
    counts = np.maximum(np.bincount(indices, minlength=len(unique)), 1)
    # Dividing before the sum keeps the mean of huge values finite.
    return Series(unique, np.bincount(indices, weights=values / counts[indices], minlength=len(unique)))


def compute_slice_minima(series: Series, extent: float, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the steps from 0 to ``extent`` into equal slices and finds the smallest value of each.

    A value stands for all steps since the line before it, because that is what a run's metrics do. So there are no holes
    where lines are further apart than slices.

    Args:
      series: The values.
      extent: Last step, above 0.
      slices: Number of slices.

    Returns:
      Two arrays of shape ``(slices,)``: the smallest finite value that touches each slice (NaN if there is none), and
      whether a value that is not finite touches it.
    """
    steps, values = series.steps, series.values
    previous = np.concatenate([[0.0], steps[:-1]]) if steps.size else steps
    starts = np.where(previous < steps, previous, steps)
    # Multiplied first: whole numbers that divide evenly then meet the slices' edges exactly.
    first = np.clip((starts * slices / extent).astype(int), 0, slices - 1)
    last = np.clip(np.ceil(steps * slices / extent).astype(int) - 1, first, slices - 1)
    minima = np.full(slices, np.nan)
    nonfinite = np.zeros(slices, bool)
    finite = series.finite_mask
    # A line seldom touches more than two slices. Its first and last slice are set for all lines at once.
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

"""The value axis of a figure: its scale, its limits and its tick labels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator

Scale = Literal["linear", "log", "symlog"]

# The range of float32. All logarithms and differences within it are finite.
_LARGEST, _SMALLEST = 1e39, 1e-45
# Values that span a factor of at least this many get a logarithmic axis.
_LOG_SPAN = 20.0
_MAX_DECIMALS = 6
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clip_to_drawable(values: np.ndarray) -> np.ndarray:
    """Clips finite values to the range of float32. Values below its precision become 0."""
    values = np.clip(np.asarray(values, np.float64), -_LARGEST, _LARGEST)
    return np.where(np.abs(values) < _SMALLEST, 0.0, values)


def choose_scale(values: np.ndarray) -> Scale:
    """Chooses ``log`` if positive values span orders of magnitude, ``symlog`` if other values do, else ``linear``."""
    lowest, highest = values.min(), values.max()
    if lowest > 0:
        return "log" if highest / lowest >= _LOG_SPAN else "linear"
    sizes = np.abs(values[values != 0])
    # A curve that crosses 0 has small values anyway. Only a value far above the usual ones requires another scale.
    return "symlog" if sizes.size and sizes.max() / np.median(sizes) >= _LOG_SPAN**2 else "linear"


def choose_linear_threshold(values: np.ndarray) -> float:
    """Chooses the median size of the values as the threshold between the linear and logarithmic parts of a ``symlog`` axis."""
    return float(np.median(np.abs(values[values != 0])))


def choose_limits(
    values: np.ndarray, scale: Scale, bounds: tuple[float | None, float | None] = (None, None)
) -> tuple[float, float]:
    """Chooses the ends of the axis: all values with a margin, but without a margin beyond a bound that the values reach."""
    lowest, highest = float(values.min()), float(values.max())
    if scale == "log":
        margin = 10 ** (0.06 * np.log10(highest / lowest))
        return lowest / margin, highest * margin
    if scale == "symlog":
        margin = 2.0
        return min(lowest * margin, 0.0), max(highest * margin, 0.0)
    margin = max(0.06 * (highest - lowest), 1e-3 * max(abs(lowest), abs(highest)), 1e-9)
    return (
        lowest if lowest == bounds[0] else lowest - margin,
        highest if highest == bounds[1] else highest + margin,
    )


def make_round_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Chooses round ticks on a linear axis, and their labels with an equal number of decimals."""
    candidates = [float(value) for value in MaxNLocator(nbins=5).tick_values(low, high) if low <= value <= high]
    # The locator's 0 may have a rounding error.
    ticks = [value if abs(value) > 1e-9 * (high - low) else 0.0 for value in candidates]
    labels = [format_tick(value) for value in ticks]
    if all(abs(value) < 1e3 for value in ticks) and not any("\N{MULTIPLICATION SIGN}" in label for label in labels):
        decimals = max((len(label.partition(".")[2]) for label in labels), default=0)
        labels = [f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for value in ticks]
    # Ticks that are far from 0 but close together may have equal labels. Add digits until the labels differ.
    decimals = 0
    while len(set(labels)) < len(labels) and decimals <= _MAX_DECIMALS:
        labels = [f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}") for value in ticks]
        decimals += 1
    return ticks, labels


def format_tick(value: float, position: int | None = None) -> str:
    """Formats a tick's value, short enough for the margin of a figure.

    Args:
      value: The value.
      position: Ignored; matplotlib's formatters pass it.

    Example:
    >>> format_tick(0.25), format_tick(2000), format_tick(150_000), format_tick(1e-5)
    ('0.25', '2,000', '150 k', '10⁻⁵')
    """
    del position
    size = abs(value)
    if value == 0:
        return "0"
    if 1e-3 <= size < 1e5:
        return f"{value:,.0f}" if size >= 1e3 else f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
    if 1e5 <= size < 1e9:
        return f"{value / 1e3:.4g} k" if size < 1e6 else f"{value / 1e6:.4g} M"
    mantissa, power = f"{value:.1e}".split("e")
    power = str(int(power)).translate(_SUPERSCRIPTS)
    mantissa = mantissa.removesuffix(".0")
    return f"10{power}" if mantissa == "1" else f"{mantissa}\N{MULTIPLICATION SIGN}10{power}"

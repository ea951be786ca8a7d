"""Choices for a value axis: its scale, its limits and the writing of its ticks."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

# No float32 lies beyond, and every logarithm and difference within is finite.
_LARGEST, _SMALLEST = 1e39, 1e-45
_ORDERS = 20.0
_MOST_DECIMALS = 6
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def drawable(values: np.ndarray) -> np.ndarray:
    """Finite values, moved to the edge of what float32 holds where they lie beyond it; values next to 0 become 0."""
    values = np.clip(np.asarray(values, np.float64), -_LARGEST, _LARGEST)
    return np.where(np.abs(values) < _SMALLEST, 0.0, values)


def scale_for(values: np.ndarray) -> str:
    """``log`` where positive values span orders of magnitude, ``symlog`` where others do, else ``linear``."""
    lowest, highest = values.min(), values.max()
    if lowest > 0:
        return "log" if highest / lowest >= _ORDERS else "linear"
    sizes = np.abs(values[values != 0])
    # A curve that crosses 0 always comes near it; only a large value far above the usual ones asks for another scale.
    return "symlog" if sizes.size and sizes.max() / np.median(sizes) >= _ORDERS**2 else "linear"


def linear_part(values: np.ndarray) -> float:
    """Where a ``symlog`` axis turns from linear to logarithmic: the size of a usual value."""
    return float(np.median(np.abs(values[values != 0])))


def limits(
    values: np.ndarray, scale: str, bounds: tuple[float | None, float | None] = (None, None)
) -> tuple[float, float]:
    """The axis' ends: all values with some air; none beyond a bound that no value passes."""
    lowest, highest = float(values.min()), float(values.max())
    if scale == "log":
        air = 10 ** (0.06 * np.log10(highest / lowest))
        return lowest / air, highest * air
    if scale == "symlog":
        air = 2.0
        return min(lowest * air, 0.0), max(highest * air, 0.0)
    air = max(0.06 * (highest - lowest), 1e-3 * max(abs(lowest), abs(highest)), 1e-9)
    return (
        lowest if lowest == bounds[0] else lowest - air,
        highest if highest == bounds[1] else highest + air,
    )


def round_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Round places on a linear axis, and their texts with as many decimals as one of them needs."""
    found = [float(place) for place in MaxNLocator(nbins=5).tick_values(low, high) if low <= place <= high]
    # The locator's 0 may be off by a rounding error.
    places = [place if abs(place) > 1e-9 * (high - low) else 0.0 for place in found]
    texts = [label(place) for place in places]
    if all(abs(place) < 1e3 for place in places) and not any("\N{MULTIPLICATION SIGN}" in text for text in texts):
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        texts = [f"{place:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for place in places]
    # Far from 0 and close together, short texts are the same: then every digit is written that tells them apart.
    decimals = 0
    while len(set(texts)) < len(texts) and decimals <= _MOST_DECIMALS:
        texts = [f"{place:,.{decimals}f}".replace("-", "\N{MINUS SIGN}") for place in places]
        decimals += 1
    return places, texts


def label(value: float, position: int | None = None) -> str:
    """A tick's text, short enough for the margin: ``0.25``, ``2,000``, ``150 k``, ``10⁻⁵``, ``10¹²``."""
    del position  # Matplotlib's formatters pass it.
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

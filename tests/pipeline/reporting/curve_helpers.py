"""Short series and their figures, for the tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steadyrank.pipeline.reporting.analysis.series import Series
from steadyrank.pipeline.reporting.figures.curves import Curve, draw_curves


def make_series(values: Sequence[float], steps: Sequence[float] | None = None) -> Series:
    """A series at the given steps, by default 1, 2, 3 …"""
    values = np.array(values, np.float64)
    return Series(np.arange(1.0, len(values) + 1) if steps is None else np.array(steps, np.float64), values)


def draw_training_curve(values: Sequence[float], **options: Any) -> str:
    """A figure of one training curve over the steps 1, 2, 3 …"""
    extent = len(values) or 1
    return draw_curves("f", "click", "loss", [Curve("training", make_series(values))], extent=extent, **options)

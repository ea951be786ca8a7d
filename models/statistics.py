"""What a ranker learns from data before it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Means and deviations of features and labels.

    Attributes:
      mean: For each normalised numerical feature, the mean of its values (of their :func:`~steadyrank.foundation.signed_log.signed_log`, where its
        normalization is ``log``), shape ``(width,)``.
      deviation: Likewise the standard deviation, above 0.
      label_mean: For each task, the mean of the labels that are there.
    """

    mean: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    deviation: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    label_mean: Mapping[str, float] = dataclasses.field(default_factory=dict)

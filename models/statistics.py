"""Statistics of the data that a ranker needs before it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Means and standard deviations of features, and means of labels.

    Attributes:
      mean: Mean of each normalized numerical feature, by name, each of shape ``(width,)``. For ``normalization="log"``,
        the mean of :func:`~steadyrank.foundation.signed_log.signed_log` of the values.
      deviation: Standard deviation of the same values, above 0.
      label_mean: Mean of the labels that are present, by task. A tower's bias starts there.

    Example:
    >>> mean, deviation = {"age": np.array([35.0])}, {"age": np.array([12.0])}
    >>> statistics = Statistics(mean, deviation, label_mean={"click": 0.1})
    >>> statistics.label_mean["click"]
    0.1
    """

    mean: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    deviation: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    label_mean: Mapping[str, float] = dataclasses.field(default_factory=dict)

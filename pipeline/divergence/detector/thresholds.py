"""The detector's settings."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The settings of the detector: how large and how long a deviation must be before it reports an event.

    Attributes:
      patience_publications: Number of consecutive out-of-range publications that make a divergence full. Default 3.
      patience_steps: Number of consecutive out-of-range steps that make a divergence full, if every step is measured.
        Default 20.
      loss_ratio: A loss above this multiple of the loss of a constant prediction is out of range. Default 2.
      loss_growth: If the loss of a constant prediction is unknown, a loss above this multiple of its largest earlier
        window is out of range. Default 10.
      collapse_share: An AUC has collapsed if less than this share of its best lead over chance is left. Default 0.25.
      spike_deviations: A loss is a spike if it is this many deviations of single steps above its usual value. Default
        8.
      over_clipping_factor: A layer is over-clipped if, over ``patience_publications`` publications, the rule clipped at
        least nine in ten steps and the last clipping factors were below this value. Default 0.05.
      dead_share: A layer is dead if more than this share of its units are dead. Default 0.95.

    Raises:
      ValueError: If a value is out of its range; the message names it.

    Example:
    >>> Thresholds(patience_steps=50).patience_steps
    50
    """

    patience_publications: int = 3
    patience_steps: int = 20
    loss_ratio: float = 2.0
    loss_growth: float = 10.0
    collapse_share: float = 0.25
    spike_deviations: float = 8.0
    over_clipping_factor: float = 0.05
    dead_share: float = 0.95

    def __post_init__(self) -> None:
        for name in ("patience_publications", "patience_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("loss_ratio", "loss_growth", "spike_deviations"):
            if not getattr(self, name) > 1:
                raise ValueError(f"{name} must be above 1, got {getattr(self, name)}")
        for name in ("collapse_share", "over_clipping_factor", "dead_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

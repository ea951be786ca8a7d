"""The time that training spent waiting for its input."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..record import RunRecord
from .numbers import is_finite, to_float

BOTTLENECK_SHARE = 0.1
"""Smallest share of the training time that counts as a bottleneck.

Smaller shares are within the usual variation of speed.
"""

_MOST = 0.5
_LONGEST_SECONDS = 1e30


@dataclasses.dataclass(frozen=True)
class InputWait:
    """The time that training spent waiting for input.

    Attributes:
      share: Share of the training time, from 0 to 1.
      is_at_day_starts: Whether most of the waiting, but not most of the time, belongs to the first publication of a
        day.
    """

    share: float
    is_at_day_starts: bool

    @property
    def is_bottleneck(self) -> bool:
        """Whether the share is :data:`BOTTLENECK_SHARE` or more."""
        return self.share >= BOTTLENECK_SHARE


def measure_input_wait(run: RunRecord) -> InputWait | None:
    """Measures the time that training spent waiting for input.

    The share is ``input_wait_fraction`` of ``status.json``, which covers every step. Without it, the share is the mean
    over the publications, weighted by time, because the first publication of a day includes the start of the input and
    is not typical.

    Returns:
      The measurement, or None if the run recorded neither.
    """
    times = _read_times(run.train)
    recorded = run.status.get("input_wait_fraction")
    if is_finite(recorded) and recorded >= 0:
        return InputWait(min(to_float(recorded), 1.0), times.is_mostly_at_day_starts())
    if times.seconds.sum() > 0:
        return InputWait(float(np.average(times.shares, weights=times.seconds)), times.is_mostly_at_day_starts())
    return None


@dataclasses.dataclass(frozen=True)
class _PublicationTimes:
    """The share of waiting, the time and whether it starts a day, for each of P publications. Each array is ``(P,)``.

    The unit of time is batches divided by rows per second, because only ratios matter.
    """

    shares: np.ndarray
    seconds: np.ndarray
    is_day_start: np.ndarray

    def is_mostly_at_day_starts(self) -> bool:
        waiting = self.shares * self.seconds
        day_starts = self.is_day_start
        return bool(
            waiting[day_starts].sum() > _MOST * waiting.sum()
            and self.seconds[day_starts].sum() < _MOST * self.seconds.sum()
        )


def _read_times(train: Sequence[Mapping[str, Any]]) -> _PublicationTimes:
    shares, seconds, is_day_start = [], [], []
    previous_step, previous_day = 0.0, None
    for line in train:
        step, share, rate = (line.get(key) for key in ("step", "input_wait_fraction", "examples_per_second"))
        starts_day, previous_day = line.get("day") != previous_day, line.get("day")
        if not is_finite(step):
            continue
        steps, previous_step = to_float(step) - previous_step, to_float(step)
        # After a resume, the step may go back. The number of steps of such a line is unknown.
        if is_finite(share) and share >= 0 and is_finite(rate) and rate > 0 and steps > 0:
            shares.append(min(to_float(share), 1.0))
            seconds.append(min(steps / to_float(rate), _LONGEST_SECONDS))
            is_day_start.append(starts_day)
    return _PublicationTimes(np.array(shares), np.array(seconds), np.array(is_day_start, bool))

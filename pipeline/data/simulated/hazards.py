"""The hazards of a simulated log: planted faults that begin on a given day.

The text form of a hazard is ``name@day`` or ``name@day*strength``. Each hazard draws from its own random stream and
changes nothing on earlier days. A log with a hazard and the same log without it are therefore equal, bit for bit, up to
that day.

| name | duration | effect |
|---|---|---|
| ``shift`` | from that day on | some scores and counters change their scale; other topics become popular |
| ``new_feature`` | from that day on | ``fresh_score``, constant 0 before, gets large, heavy-tailed, informative values |
| ``heavy_labels`` | from that day on | ``watch_time`` gets a Pareto tail that reaches thousands of minutes |
| ``viral`` | that day only | one video takes a large share of the impressions |
| ``corruption`` | that day only | a small share of the rows has absurd but finite numbers |
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from ...config.errors import ConfigError
from ..columns import Columns

# Whether the hazard lasts for one day only.
_IS_ONE_DAY = {"shift": False, "new_feature": False, "heavy_labels": False, "viral": True, "corruption": True}
HAZARD_NAMES = tuple(_IS_ONE_DAY)

_PATTERN = re.compile(r"(?P<name>[^@*]+)@(?P<day>\d+)(\*(?P<strength>[^@*]+))?")
_SENTINEL = np.float32(-1e9)
_TAIL_REACH = 1000.0
_MAX_STRENGTH = 1000.0


@dataclasses.dataclass(frozen=True)
class Hazard:
    """One hazard.

    Attributes:
      name: One of :data:`HAZARD_NAMES`.
      day: The day, or the first day, of the effect, from 0.
      strength: Size of the effect; 1 is typical.
    """

    name: str
    day: int
    strength: float = 1.0


def parse_hazards(texts: Iterable[str], days: int) -> tuple[Hazard, ...]:
    """Parses hazards.

    Args:
      texts: Hazards such as ``shift@5`` and ``viral@7*2``.
      days: Number of days of the log.

    Raises:
      ConfigError: If a text has another form, an unknown name, a day outside the log, or a strength that is not a
        number above 0 and up to 1000.

    Example:
    >>> parse_hazards(["viral@7*2"], days=10)
    (Hazard(name='viral', day=7, strength=2.0),)
    """
    return tuple(_parse(text, days) for text in texts)


def total_strength(hazards: Iterable[Hazard], name: str, day: int) -> float:
    """Returns the sum of the strengths of the hazards ``name`` in effect on ``day``; 0 if there is none."""
    return sum(
        (h.strength for h in hazards if h.name == name and (h.day == day if _IS_ONE_DAY[name] else h.day <= day)), 0.0
    )


def shift_popularity(popularity: np.ndarray, trend: np.ndarray, strength: float) -> np.ndarray:
    """``shift``: returns the popularity of videos after the trend, proportional to ``popularity * exp(strength * trend)``.

    Args:
      popularity: Popularity of each video, on any scale, ``[V]``.
      trend: Trend of each video's topic, ``[V]``; positive if interest grows.
      strength: Strength of the hazard.
    """
    # Relative to the largest trend, the exponent is at most 0 and cannot overflow.
    return popularity * np.exp(strength * (trend - trend.max()))


def rescale_columns(columns: Columns, masks: dict[str, np.ndarray], strength: float) -> Columns:
    """``shift``: returns the columns with some numbers multiplied by ``1 + 4 * strength``.

    Args:
      columns: The columns. They are not modified.
      masks: For each column to change, 1 for the numbers to multiply and 0 for the others, in the shape of one row.
      strength: Strength of the hazard.
    """
    return columns | {
        name: columns[name] * (1 + np.float32(4 * strength) * mask.astype(np.float32)) for name, mask in masks.items()
    }


def fresh_scores(signal: np.ndarray, strength: float) -> np.ndarray:
    """``new_feature``: returns the values of ``fresh_score``, ``strength * exp(2 + 1.5 * signal)``.

    At strength 1, half of the values exceed 7, one in a hundred exceeds 200, and one in ten thousand exceeds 2,000.

    Args:
      signal: The part of the click that the feature explains, standard normal, ``[B]``.
      strength: Strength of the hazard.
    """
    return np.float32(strength) * np.exp(2 + np.float32(1.5) * signal)


def draw_tail_factors(rng: np.random.Generator, rows: int, strength: float) -> np.ndarray:
    """``heavy_labels``: draws factors for ``watch_time``, ``[rows]``: Pareto, index 1, between 1 and ``1 + 1000 * strength``."""
    return 1 / (1 - rng.random(rows) * (1 - 1 / _tail_end(strength)))


def tail_mean(strength: float) -> float:
    """Returns the mean of :func:`draw_tail_factors`, about 6.9 at strength 1."""
    end = _tail_end(strength)
    return math.log(end) / (1 - 1 / end)


def insert_viral_video(rng: np.random.Generator, videos: np.ndarray, video: int, strength: float) -> np.ndarray:
    """``viral``: returns ``videos`` with ``video`` in a share of ``min(1, strength) / 2`` of the rows."""
    return np.where(rng.random(len(videos)) < min(1.0, strength) / 2, video, videos)


def corrupt_columns(rng: np.random.Generator, columns: Columns, names: Sequence[str], strength: float) -> Columns:
    """``corruption``: returns the columns with one absurd number in a share of ``min(1, strength / 100)`` of the rows.

    The number has a wrong unit, so that it is 10^3 to 10^6 times too large, or it is a forgotten sentinel, -10^9. It is
    never NaN or infinite, because such values are easy to find.

    Args:
      rng: The hazard's random stream.
      columns: The columns. They are not modified.
      names: Numerical columns that can be corrupted. In a vector, one random component of a row is corrupted.
      strength: Strength of the hazard.
    """
    rows = len(columns[names[0]])
    is_corrupt = rng.random(rows) < min(1.0, strength / 100)
    column_index = rng.integers(len(names), size=rows)
    factor = np.float32(10) ** rng.integers(3, 7, size=rows).astype(np.float32)
    is_sentinel = rng.random(rows) < 0.5
    component = rng.random(rows)
    changed = {}
    for i, name in enumerate(names):
        column = columns[name].copy()
        table = column.reshape(rows, -1)
        chosen = np.flatnonzero(is_corrupt & (column_index == i))
        cells = (chosen, (component[chosen] * table.shape[1]).astype(np.int64))
        table[cells] = np.where(is_sentinel[chosen], _SENTINEL, table[cells] * factor[chosen])
        changed[name] = column
    return columns | changed


def _parse(text: str, days: int) -> Hazard:
    match = _PATTERN.fullmatch(text)
    if not match:
        raise ConfigError(f"a hazard must be name@day or name@day*strength, such as viral@7*2, got {text!r}")
    name, day = match["name"], int(match["day"])
    if name not in HAZARD_NAMES:
        similar = difflib.get_close_matches(name, HAZARD_NAMES, n=1)
        hint = f"; did you mean '{similar[0]}'?" if similar else ""
        raise ConfigError(f"hazard {text!r}: the name must be one of {', '.join(HAZARD_NAMES)}, got '{name}'{hint}")
    if day >= days:
        raise ConfigError(
            f"hazard {text!r}: the day must be from 0 to {days - 1}, got {day}; choose another day or raise data.simulated.days"
        )
    try:
        strength = float(match["strength"] or 1.0)
    except ValueError:
        strength = math.nan
    # Much larger strengths overflow float32 columns.
    if not 0 < strength <= _MAX_STRENGTH:
        raise ConfigError(
            f"hazard {text!r}: the strength must be a number above 0 and up to {_MAX_STRENGTH:g}, got '{match['strength']}'"
        )
    return Hazard(name, day, strength)


def _tail_end(strength: float) -> float:
    return 1 + _TAIL_REACH * strength

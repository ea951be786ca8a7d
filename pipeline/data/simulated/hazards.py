"""What goes wrong in a simulated log, and when.

A hazard is written ``name@day`` or ``name@day*strength``. Each draws from a random stream of its own and changes nothing
on the days before its own, bit for bit, so that a log with a hazard and the same log without it can be compared.

``shift``         from that day on: some scores and counters come in another scale, other topics are popular
``new_feature``   from that day on: ``fresh_score``, constant 0 before, carries large, heavy-tailed, informative values
``heavy_labels``  from that day on: ``watch_time`` has a Pareto tail that reaches thousands of minutes
``viral``         on that day: one video takes a large share of the impressions
``corruption``    on that day: a small share of the rows has absurd, finite numbers
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from ...config.errors import ConfigError
from ..source import Columns

# Whether the hazard ends with its day.
_ONE_DAY = {"shift": False, "new_feature": False, "heavy_labels": False, "viral": True, "corruption": True}
NAMES = tuple(_ONE_DAY)

_FORM = re.compile(r"(?P<name>[^@*]+)@(?P<day>\d+)(\*(?P<strength>[^@*]+))?")
_SENTINEL = np.float32(-1e9)
_TAIL_REACH = 1000.0
_STRONGEST = 1000.0


@dataclasses.dataclass(frozen=True)
class Hazard:
    """One thing that goes wrong.

    Attributes:
      name: One of :data:`NAMES`.
      day: The first day of its effect, counted from 0.
      strength: How bad it is; 1 is the usual size.
    """

    name: str
    day: int
    strength: float = 1.0


def parse_hazards(texts: Iterable[str], days: int) -> tuple[Hazard, ...]:
    """Reads hazards from their written form.

    Args:
      texts: ``name@day`` or ``name@day*strength``, such as ``shift@5`` and ``viral@7*2``.
      days: Days in the log.

    Raises:
      ConfigError: When a text has another form, an unknown name, a day outside the log or a strength that is not a
        number above 0 and up to 1000.
    """
    return tuple(_parse(text, days) for text in texts)


def strength_on(hazards: Iterable[Hazard], name: str, day: int) -> float:
    """The summed strength of the hazards called ``name`` that are in effect on ``day``; 0 when none is."""
    return sum(
        (h.strength for h in hazards if h.name == name and (h.day == day if _ONE_DAY[name] else h.day <= day)), 0.0
    )


def shifted_popularity(popularity: np.ndarray, trend: np.ndarray, strength: float) -> np.ndarray:
    """``shift``: the popularity of videos after their topics' trends, in proportion to ``popularity * exp(strength * trend)``.

    Args:
      popularity: Weights of the videos, any scale, ``[V]``.
      trend: For each video the trend of its topic, above 0 where interest grows, ``[V]``.
      strength: Strength in effect.
    """
    # Below the largest trend, no strength overflows.
    return popularity * np.exp(strength * (trend - trend.max()))


def rescaled(columns: Columns, scales: dict[str, np.ndarray], strength: float) -> Columns:
    """``shift``: multiplies numerical columns by ``1 + 4 * strength``.

    Args:
      columns: The columns; left as they are.
      scales: For each column to change, 1 where its numbers are multiplied and 0 where not, of one row's shape.
      strength: Strength in effect.
    """
    return columns | {
        name: columns[name] * (1 + np.float32(4 * strength) * chosen.astype(np.float32))
        for name, chosen in scales.items()
    }


def fresh_scores(signal: np.ndarray, strength: float) -> np.ndarray:
    """``new_feature``: the values of ``fresh_score``, ``strength * exp(2 + 1.5 * signal)``.

    At strength 1 half of them are above 7, one in a hundred above 200, one in ten thousand above 2,000.

    Args:
      signal: What the feature tells about the click, standard normal, ``[B]``.
      strength: Strength in effect.
    """
    return np.float32(strength) * np.exp(2 + np.float32(1.5) * signal)


def tail_factors(rng: np.random.Generator, rows: int, strength: float) -> np.ndarray:
    """``heavy_labels``: factors of ``watch_time``, Pareto with index 1 between 1 and ``1 + 1000 * strength``, ``[B]``."""
    return 1 / (1 - rng.random(rows) * (1 - 1 / _tail_end(strength)))


def tail_mean(strength: float) -> float:
    """Mean of :func:`tail_factors`: about 6.9 at strength 1."""
    end = _tail_end(strength)
    return math.log(end) / (1 - 1 / end)


def with_viral(rng: np.random.Generator, videos: np.ndarray, video: int, strength: float) -> np.ndarray:
    """``viral``: ``videos`` with a share of ``min(1, strength) / 2`` of the rows given to ``video``."""
    return np.where(rng.random(len(videos)) < min(1.0, strength) / 2, video, videos)


def corrupted(rng: np.random.Generator, columns: Columns, names: Sequence[str], strength: float) -> Columns:
    """``corruption``: in a share of ``min(1, strength / 100)`` of the rows, one number is absurd.

    It is either in a wrong unit, 10^3 to 10^6 times too large, or a forgotten sentinel, -10^9. It is never NaN or
    infinite: those are easy to find.

    Args:
      rng: The hazard's random stream.
      columns: The columns; left as they are.
      names: Numerical columns that may be hit; in a vector, one random place of a row is.
      strength: Strength in effect.
    """
    rows = len(columns[names[0]])
    hit = rng.random(rows) < min(1.0, strength / 100)
    which = rng.integers(len(names), size=rows)
    factor = np.float32(10) ** rng.integers(3, 7, size=rows).astype(np.float32)
    sentinel = rng.random(rows) < 0.5
    place = rng.random(rows)
    changed = {}
    for i, name in enumerate(names):
        column = columns[name].copy()
        table = column.reshape(rows, -1)
        at = np.flatnonzero(hit & (which == i))
        where = (at, (place[at] * table.shape[1]).astype(np.int64))
        table[where] = np.where(sentinel[at], _SENTINEL, table[where] * factor[at])
        changed[name] = column
    return columns | changed


def _parse(text: str, days: int) -> Hazard:
    match = _FORM.fullmatch(text)
    if not match:
        raise ConfigError(f"a hazard is written name@day or name@day*strength, such as viral@7*2, got {text!r}")
    name, day = match["name"], int(match["day"])
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"hazard {text!r}: the name must be one of {', '.join(NAMES)}, got '{name}'{meant}")
    if day >= days:
        raise ConfigError(
            f"hazard {text!r}: the log has the days 0 to {days - 1}, got {day}; make it longer or choose one"
        )
    try:
        strength = float(match["strength"] or 1.0)
    except ValueError:
        strength = math.nan
    # Far beyond this, float32 columns would overflow.
    if not 0 < strength <= _STRONGEST:
        raise ConfigError(
            f"hazard {text!r}: strength must be a number above 0 and up to {_STRONGEST:g}, got '{match['strength']}'"
        )
    return Hazard(name, day, strength)


def _tail_end(strength: float) -> float:
    return 1 + _TAIL_REACH * strength

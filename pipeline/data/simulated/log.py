"""A simulated log: the impressions of a video platform, of any length, without any file.

What it is good for: examples and tests without a download; hazards on order; and a truth to hold a ranker against, since
the hidden model that draws the labels also tells what a perfect ranker would predict. Users, videos and their behaviour
stand in :mod:`.simulated_platform` and :mod:`.simulated_behavior`, what goes wrong in :mod:`.hazards`.

Shapes: B rows of a block, U users, V videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...config.errors import ConfigError
from ...config.settings import Simulated
from ..source import Columns, Source
from .behavior import SCORES, Behavior, Impressions, draw_labels, expected
from .hazards import corrupted, fresh_scores, parse_hazards, rescaled, shifted_popularity, strength_on, with_viral
from .schema import simulated_schema
from .world import COUNTRIES, DEVICES, LANGUAGES, POSITIONS, TOPICS, Platform, Stream, stream

BLOCK_ROWS = 8192
_PHONE = DEVICES.index("phone")

# The retrieval stage's scores: rows are the eight scores, columns what they measure (affinity to the topic, affinity
# within it, quality, propensity to click). The rest of each score's variance is noise. Scores 3 and 4 measure nothing
# that a user or a video has, yet clicks are likelier where they agree.
_SCORE_WEIGHTS = np.array(
    [
        [0.70, 0.25, 0.0, 0.0],
        [0.35, 0.00, 0.4, 0.0],
        [0.00, 0.50, 0.2, 0.0],
        [0.00, 0.00, 0.0, 0.0],
        [0.00, 0.00, 0.0, 0.0],
        [0.30, 0.00, 0.0, 0.4],
        [0.00, 0.00, 0.0, 0.0],
        [0.00, 0.00, 0.0, 0.0],
    ],
    np.float32,
)

# The columns that the shift hazard multiplies; of the scores some.
_SHIFTED = {
    "scores": np.array([1, 0, 1, 1, 0, 1, 0, 0]),
    "recent_ctr": np.array(1),
    "video_views": np.array(1),
    "network_mbps": np.array(1),
}


class SimulatedLog(Source):
    """The impressions of a simulated video platform; a :class:`~.source.Source`.

    Users and videos follow Zipf laws. Most of what can be known of a row generalises: the taste in the history and the
    retrieval stage's scores, the quality in the video's counters, device, position; some of it sits in the ids alone.
    Any block is drawn from the seed, the day and its index, and nothing of the log is kept in memory: a log can be of
    any length. Equal settings give equal bits, with one version of NumPy on one kind of processor.

    Args:
      settings: Size, seed and hazards of the log.

    Attributes:
      schema: The columns: 23 features (nine ids and words, twelve numerical ones with 19 numbers, two bags) and six tasks.
      platform: The hidden users and videos.

    Raises:
      ConfigError: When a size is below 1, the seed below 0 or a hazard is not understood.

    Example:
    >>> log = SimulatedLog(Simulated(days=2, rows_per_day=1000, hazards=("viral@1",)))
    >>> log.block(day=1, index=0)["scores"].shape
    (1000, 8)
    """

    def __init__(self, settings: Simulated):
        for name in ("days", "rows_per_day", "users", "videos"):
            if getattr(settings, name) < 1:
                raise ConfigError(f"data.simulated.{name} must be 1 or more, got {getattr(settings, name)}")
        if settings.seed < 0:
            raise ConfigError(f"data.simulated.seed must be 0 or more, got {settings.seed}")
        self._settings = settings
        self._hazards = parse_hazards(settings.hazards, settings.days)
        self._days = tuple(f"day_{day:03d}" for day in range(settings.days))
        self.platform = Platform(settings)
        self.schema = simulated_schema(settings.users, settings.videos, self.platform.creators)
        self._behavior = Behavior(self.platform, settings.seed)
        self._user_ends = _ends(self.platform.user_popularity)
        self._video_ends = {
            strength: _ends(shifted_popularity(self.platform.video_popularity, self.platform.trend, strength))
            for strength in {self._strength("shift", day) for day in range(settings.days)}
        }

    @property
    def days(self) -> Sequence[str]:
        """The names of the days: ``day_000`` and so on."""
        return self._days

    def block_rows(self, day: int) -> Sequence[int]:
        """Rows of each block of the day: :data:`BLOCK_ROWS`, the last one what is left."""
        self._check(day)
        full, rest = divmod(self._settings.rows_per_day, BLOCK_ROWS)
        return (BLOCK_ROWS,) * full + ((rest,) if rest else ())

    def block(self, day: int, index: int) -> Columns:
        """The columns of one block: a pure function of the settings, ``day`` and ``index``.

        Raises:
          ValueError: When there is no such day or block.
        """
        rows = self._impressions(day, index)
        labels = draw_labels(
            self._stream(Stream.LABELS, day, index),
            self._behavior.chances(rows, day),
            self._stream(Stream.HEAVY_LABELS, day, index),
            self._strength("heavy_labels", day),
        )
        return self._features(rows, day, index) | labels

    def expected(self, day: int, index: int) -> Columns:
        """For each task its label's expected value, row by row, ``[B]``, float32.

        It is the conditional expectation given the ids and the features, hazards included: labels depend on nothing
        else. One exception: in rows that ``corruption`` hit it is given the features as they were before, since a
        number that is overwritten by a sentinel is lost. The value of ``satisfaction`` is given that it was asked.

        Raises:
          ValueError: When there is no such day or block.
        """
        rows = self._impressions(day, index)
        return expected(self._behavior.chances(rows, day), self._strength("heavy_labels", day))

    def _impressions(self, day: int, index: int) -> Impressions:
        count = self._count(day, index)
        rng = self._stream(Stream.IMPRESSIONS, day, index)
        world = self.platform
        user = _drawn(rng, self._user_ends, count)
        video = _drawn(rng, self._video_ends[self._strength("shift", day)], count)
        viral = self._strength("viral", day)
        if viral:
            video = with_viral(self._stream(Stream.VIRAL, day, index), video, world.viral_video, viral)
        fresh = np.zeros(count, np.float32)
        if self._strength("new_feature", day):
            fresh = self._stream(Stream.NEW_FEATURE, day, index).standard_normal(count, np.float32)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal((count, *shape), np.float32)

        other_device = rng.integers(len(DEVICES), size=count)
        device = np.where(rng.random(count, np.float32) < 0.8, world.main_device[user], other_device)
        measured = np.stack(
            (*self._behavior.affinity(user, video), world.quality[video], world.propensity[user]), axis=1
        )
        noise = np.sqrt(1 - np.square(_SCORE_WEIGHTS).sum(axis=1))
        return Impressions(
            user=user,
            video=video,
            device=device,
            hour=_drawn(rng, _HOUR_ENDS, count),
            position=_drawn(rng, _POSITION_ENDS, count),
            network_mbps=np.exp(np.where(device == _PHONE, np.float32(2.1), np.float32(2.5)) + 0.9 * normal()),
            recent_ctr=0.25 / (1 + np.exp(1.2 - 0.45 * world.quality[video] - 0.35 * normal())),
            scores=np.einsum("bm,sm->bs", measured, _SCORE_WEIGHTS) + noise * normal(SCORES),
            fresh=fresh,
        )

    def _features(self, rows: Impressions, day: int, index: int) -> Columns:
        world = self.platform
        user, video = rows.user, rows.video
        growth = np.float32(1 + 0.02 * day)
        columns: Columns = {
            "user_id": user,
            "video_id": video,
            "creator": world.creator[video],
            "topic": _TOPIC_NAMES[world.topic[video]],
            "country": _COUNTRY_NAMES[world.country[user]],
            "device": _DEVICE_NAMES[rows.device],
            "language": _LANGUAGE_NAMES[world.language[user]],
            "hour": rows.hour,
            "position": rows.position,
            "account_age_days": world.account_age_days[user] + np.float32(day),
            "video_age_days": world.video_age_days[video] + np.float32(day),
            "user_views": world.user_views[user] * growth,
            "user_watches": world.user_watches[user] * growth,
            "video_views": world.video_views[video] * growth,
            "video_likes": world.video_likes[video] * growth,
            "creator_followers": world.creator_followers[video],
            "duration_minutes": np.exp(world.log_duration[video]),
            "recent_ctr": rows.recent_ctr,
            "network_mbps": rows.network_mbps,
            "scores": rows.scores,
            "fresh_score": fresh_scores(rows.fresh, self._strength("new_feature", day)),
            "history": world.history(user, day),
            "tags": world.tags[video],
        }
        shift = self._strength("shift", day)
        if shift:
            columns = rescaled(columns, _SHIFTED, shift)
        corruption = self._strength("corruption", day)
        if corruption:
            names = [f.name for f in self.schema.features if f.kind == "numerical" and f.name != "fresh_score"]
            columns = corrupted(self._stream(Stream.CORRUPTION, day, index), columns, names, corruption)
        return columns

    def _count(self, day: int, index: int) -> int:
        rows = self.block_rows(day)
        if not 0 <= index < len(rows):
            raise ValueError(f"day {day} of the simulated log has the blocks 0 to {len(rows) - 1}, got {index}")
        return rows[index]

    def _check(self, day: int) -> None:
        if not 0 <= day < len(self.days):
            raise ValueError(f"the simulated log has the days 0 to {len(self.days) - 1}, got {day}")

    def _stream(self, purpose: Stream, day: int, index: int) -> np.random.Generator:
        return stream(self._settings.seed, purpose, day, index)

    def _strength(self, hazard: str, day: int) -> float:
        return strength_on(self._hazards, hazard, day)


def _ends(shares: np.ndarray) -> np.ndarray:
    """Where each outcome's interval ends in [0, 1): the first end above a uniform number names the outcome."""
    ends = np.cumsum(shares)
    return ends / ends[-1]


def _drawn(rng: np.random.Generator, ends: np.ndarray, rows: int) -> np.ndarray:
    """Outcomes, int64, ``[rows]``."""
    return np.searchsorted(ends, rng.random(rows), side="right")


_TOPIC_NAMES, _COUNTRY_NAMES, _DEVICE_NAMES, _LANGUAGE_NAMES = (
    np.array(names, "S") for names in (TOPICS, COUNTRIES, DEVICES, LANGUAGES)
)
# Evenings are busier than nights; the slate's top is seen more often than its end.
_HOUR_ENDS = _ends(1.2 - np.cos((np.arange(24) - 7.5) * (2 * np.pi / 24)))
_POSITION_ENDS = _ends(0.88 ** np.arange(POSITIONS))

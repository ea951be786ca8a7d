"""The simulated log as a source: the impressions of a video platform, drawn block by block.

Shapes: B rows of a block, U users, V videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...config.errors import ConfigError
from ...config.settings import Simulated
from ..columns import Columns
from ..source import Source
from .behavior import SCORES, Behavior, Impressions, draw_labels, expected_labels
from .hazards import (
    corrupt_columns,
    fresh_scores,
    insert_viral_video,
    parse_hazards,
    rescale_columns,
    shift_popularity,
    total_strength,
)
from .schema import make_simulated_schema
from .world import COUNTRIES, DEVICES, LANGUAGES, POSITIONS, TOPICS, Platform, RandomStream, make_rng

BLOCK_ROWS = 8192
_PHONE = DEVICES.index("phone")

# The weights of four properties (columns: affinity to the topic, affinity within it, quality, propensity to click) in
# the eight scores of the retrieval stage (rows). The remaining variance of each score is noise. Scores 3 and 4 measure
# no property of a user or a video, but clicks are more likely when these two scores agree.
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

# The numbers that the shift hazard multiplies: some of the scores, and three columns.
_SHIFT_MASKS = {
    "scores": np.array([1, 0, 1, 1, 0, 1, 0, 0]),
    "recent_ctr": np.array(1),
    "video_views": np.array(1),
    "network_mbps": np.array(1),
}


class SimulatedLog(Source):
    """The impressions of a simulated video platform, a :class:`~..source.Source`.

    The activity of users and the popularity of videos follow Zipf laws. Most of the signal is in features that
    generalize. The history and the scores of the retrieval stage reflect the user's taste, the video's counters reflect
    its quality, and the device and the position matter. Some of the signal is in the ids alone.

    Each block is drawn from the seed, the day and its index, and no block stays in memory, so a log can have any
    length. Equal settings give equal bits with the same version of NumPy on the same kind of processor.

    Args:
      settings: Size, seed and hazards of the log.

    Attributes:
      schema: 23 features and six tasks. The features are nine categorical ones, twelve numerical ones with 19 numbers,
        and two bags.
      platform: The hidden users and videos.

    Raises:
      ConfigError: If a size is below 1, the seed is negative, or a hazard cannot be parsed.

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
        self.schema = make_simulated_schema(settings.users, settings.videos, self.platform.creators)
        self._behavior = Behavior(self.platform, settings.seed)
        self._user_ends = _interval_ends(self.platform.user_popularity)
        self._video_ends = {
            strength: _interval_ends(shift_popularity(self.platform.video_popularity, self.platform.trend, strength))
            for strength in {self._strength("shift", day) for day in range(settings.days)}
        }

    @property
    def days(self) -> Sequence[str]:
        """The names of the days: ``day_000`` and so on."""
        return self._days

    def block_rows(self, day: int) -> Sequence[int]:
        """Returns the number of rows of each block of a day: :data:`BLOCK_ROWS`, and the remainder in the last block."""
        self._check_day(day)
        full_blocks, remainder = divmod(self._settings.rows_per_day, BLOCK_ROWS)
        return (BLOCK_ROWS,) * full_blocks + ((remainder,) if remainder else ())

    def block(self, day: int, index: int) -> Columns:
        """Returns the columns of one block: a pure function of the settings, ``day`` and ``index``.

        Raises:
          ValueError: If the log has no such day or block.
        """
        rows = self._impressions(day, index)
        labels = draw_labels(
            self._rng(RandomStream.LABELS, day, index),
            self._behavior.predict(rows, day),
            self._rng(RandomStream.HEAVY_LABELS, day, index),
            self._strength("heavy_labels", day),
        )
        return self._features(rows, day, index) | labels

    def expected(self, day: int, index: int) -> Columns:
        """Returns the expected label of each task, row by row, ``[B]``, float32.

        This is the conditional expectation given the ids and the features, including hazards. Labels depend on nothing
        else. There are two special cases. Rows that ``corruption`` changed are conditioned on their features before the
        change, because a sentinel overwrites the number. ``satisfaction`` is conditioned on an answer.

        Raises:
          ValueError: If the log has no such day or block.
        """
        rows = self._impressions(day, index)
        return expected_labels(self._behavior.predict(rows, day), self._strength("heavy_labels", day))

    def _impressions(self, day: int, index: int) -> Impressions:
        count = self._rows_of_block(day, index)
        rng = self._rng(RandomStream.IMPRESSIONS, day, index)
        world = self.platform
        user = _draw(rng, self._user_ends, count)
        video = _draw(rng, self._video_ends[self._strength("shift", day)], count)
        viral = self._strength("viral", day)
        if viral:
            video = insert_viral_video(self._rng(RandomStream.VIRAL, day, index), video, world.viral_video, viral)
        fresh = np.zeros(count, np.float32)
        if self._strength("new_feature", day):
            fresh = self._rng(RandomStream.NEW_FEATURE, day, index).standard_normal(count, np.float32)

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
            hour=_draw(rng, _HOUR_ENDS, count),
            position=_draw(rng, _POSITION_ENDS, count),
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
            columns = rescale_columns(columns, _SHIFT_MASKS, shift)
        corruption = self._strength("corruption", day)
        if corruption:
            names = [f.name for f in self.schema.features if f.kind == "numerical" and f.name != "fresh_score"]
            columns = corrupt_columns(self._rng(RandomStream.CORRUPTION, day, index), columns, names, corruption)
        return columns

    def _rows_of_block(self, day: int, index: int) -> int:
        rows = self.block_rows(day)
        if not 0 <= index < len(rows):
            raise ValueError(f"index must be from 0 to {len(rows) - 1} on day {day} of the simulated log, got {index}")
        return rows[index]

    def _check_day(self, day: int) -> None:
        if not 0 <= day < len(self.days):
            raise ValueError(f"day must be from 0 to {len(self.days) - 1} in this simulated log, got {day}")

    def _rng(self, purpose: RandomStream, day: int, index: int) -> np.random.Generator:
        return make_rng(self._settings.seed, purpose, day, index)

    def _strength(self, hazard: str, day: int) -> float:
        return total_strength(self._hazards, hazard, day)


def _interval_ends(shares: np.ndarray) -> np.ndarray:
    """Returns where the interval of each outcome ends in [0, 1).

    A uniform random number selects the first outcome whose end is above it.
    """
    ends = np.cumsum(shares)
    return ends / ends[-1]


def _draw(rng: np.random.Generator, ends: np.ndarray, rows: int) -> np.ndarray:
    """Draws outcomes, int64, ``[rows]``."""
    return np.searchsorted(ends, rng.random(rows), side="right")


_TOPIC_NAMES, _COUNTRY_NAMES, _DEVICE_NAMES, _LANGUAGE_NAMES = (
    np.array(names, "S") for names in (TOPICS, COUNTRIES, DEVICES, LANGUAGES)
)
# Evenings are busier than nights. Users see the top of the slate more often than its end.
_HOUR_ENDS = _interval_ends(1.2 - np.cos((np.arange(24) - 7.5) * (2 * np.pi / 24)))
_POSITION_ENDS = _interval_ends(0.88 ** np.arange(POSITIONS))

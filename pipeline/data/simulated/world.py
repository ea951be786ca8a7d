"""The hidden side of the simulated video platform: who its users are and what its videos are.

Everything here depends on the settings alone and is the same on every day of the log.

Shapes: U users, V videos, C creators, T topics, K taste dimensions.
"""

from __future__ import annotations

import enum

import numpy as np

from ....models.schema import MISSING_INTEGER, MISSING_STRING
from ...config.settings import Simulated

TOPICS = (
    "animals", "beauty", "cars", "comedy", "cooking", "dance", "diy", "education", "esports", "fashion", "film",
    "fitness", "football", "gadgets", "gardening", "history", "kids", "music", "news", "outdoors", "podcasts",
    "science", "travel", "vlogs",
)  # fmt: skip
COUNTRIES = ("AR", "BR", "DE", "ES", "FR", "GB", "ID", "IN", "JP", "KR", "MX", "US")
LANGUAGES = ("de", "en", "es", "fr", "hi", "id", "ja", "ko", "pt")
DEVICES = ("phone", "tablet", "desktop", "tv", "console")
TAGS = (*(f"{topic}_{kind}" for topic in TOPICS for kind in ("basics", "live", "short")), "hd", "trending", "series")
POSITIONS = 12
HISTORY_WIDTH = 10
TAG_WIDTH = 5

_TASTE_WIDTH = 6
_COUNTRY_LANGUAGE = {
    "AR": "es", "BR": "pt", "DE": "de", "ES": "es", "FR": "fr", "GB": "en", "ID": "id", "IN": "hi", "JP": "ja",
    "KR": "ko", "MX": "es", "US": "en",
}  # fmt: skip
# The taste of a user is stored as this many drawn topics, and the popularity of a topic's videos as this many drawn
# videos. A new draw is then one lookup.
_TASTE_DRAWS = 16
_SHELF_DRAWS = 4096


class RandomStream(enum.IntEnum):
    """The purpose of a stream of random numbers. Draws for one purpose never change the draws for another."""

    USERS = 0
    VIDEOS = 1
    BEHAVIOR = 2
    IMPRESSIONS = 3
    LABELS = 4
    VIRAL = 5
    NEW_FEATURE = 6
    HEAVY_LABELS = 7
    CORRUPTION = 8


def make_rng(seed: int, purpose: RandomStream, day: int = 0, index: int = 0) -> np.random.Generator:
    """Returns the random number generator of one purpose for one block of one day."""
    return np.random.default_rng((seed, int(purpose), day, index))


class Platform:
    """The users and videos of the platform, with the properties that no column shows.

    Args:
      settings: Number of users and videos, and the seed.

    Attributes:
      user_popularity: Share of the impressions of each user, a Zipf law, ``[U]``.
      propensity: How readily each user clicks, ``[U]``; mean 0 and standard deviation 1, weighted by popularity.
      taste: How much each user likes each topic, ``[U, T]``; standard deviation about 1.
      taste_vector: The same taste in the space of ``video_vector``, ``[U, K]``.
      country, language, main_device: Positions in :data:`COUNTRIES`, :data:`LANGUAGES`, :data:`DEVICES`, ``[U]``.
      account_age_days, user_views, user_watches: Counters on day 0, ``[U]``.
      video_popularity: Share of the impressions of each video, a Zipf law, ``[V]``.
      topic: Each video's position in :data:`TOPICS`, ``[V]``.
      trend: Trend of each video's topic, for the ``shift`` hazard, ``[V]``.
      quality: How good each video is, ``[V]``; mean 0 and standard deviation 1, weighted by popularity.
      video_vector: What distinguishes each video within its topic, ``[V, K]``.
      creator: Name of each video's creator, bytes, ``[V]``.
      log_duration: Logarithm of the duration in minutes of each video, ``[V]``.
      video_age_days, video_views, video_likes, creator_followers: Counters on day 0, ``[V]``.
      tags: Tags of each video, bytes, ``[V, TAG_WIDTH]``; padded with empty strings.
      creators: Number of creators.
      viral_video: The video that the ``viral`` hazard promotes.
    """

    def __init__(self, settings: Simulated):
        self._make_users(make_rng(settings.seed, RandomStream.USERS), settings.users)
        self._make_videos(make_rng(settings.seed, RandomStream.VIDEOS), settings.videos)
        self._draw_shelves()

    def history(self, users: np.ndarray, day: int) -> np.ndarray:
        """Returns the last videos that users watched before a day, the newest first.

        Each user watches a fixed number of videos a day. The n-th video of a user is a hash of the user and n.
        Histories therefore advance from day to day without any state.

        Args:
          users: Numbers of the users, ``[B]``.
          day: The day of the impressions, from 0.

        Returns:
          Numbers of videos, int64, ``[B, HISTORY_WIDTH]``; padded with -1.
        """
        watched = self._first_watches[users] + self._watches_per_day[users] * day
        event = watched[:, np.newaxis] - np.arange(1, HISTORY_WIDTH + 1)
        bits = _mix_bits((users[:, np.newaxis] << 32 ^ event).view(np.uint64) ^ self._history_key)
        # Flat positions, with sizes that are powers of two, take half the time of indexing by pairs.
        taste_draw = (bits & np.uint64(_TASTE_DRAWS - 1)).view(np.int64)
        shelf_draw = (bits >> np.uint64(20) & np.uint64(_SHELF_DRAWS - 1)).view(np.int64)
        topic = self._liked_topics.take(users[:, np.newaxis] * _TASTE_DRAWS + taste_draw)
        video = self._shelves.take(topic * _SHELF_DRAWS + shelf_draw)
        return np.where(event >= 0, video, MISSING_INTEGER)

    def _make_users(self, rng: np.random.Generator, users: int) -> None:
        self.user_popularity = _zipf(rng, users, exponent=0.7)
        self.propensity = _standardize(rng.standard_normal(users), self.user_popularity)
        topics = rng.standard_normal((len(TOPICS), _TASTE_WIDTH))
        topics /= np.linalg.norm(topics, axis=1, keepdims=True)
        vector = _standardize(rng.standard_normal((users, _TASTE_WIDTH)), self.user_popularity)
        self.taste_vector = vector.astype(np.float32)
        self.taste = (vector @ topics.T).astype(np.float32)
        chance = np.exp(2.0 * self.taste)
        ends = np.cumsum(chance / chance.sum(axis=1, keepdims=True), axis=1)
        draws = [(rng.random((users, 1)) > ends[:, :-1]).sum(axis=1) for _ in range(_TASTE_DRAWS)]
        self._liked_topics = np.stack(draws, axis=1)
        self._first_watches = np.minimum(rng.geometric(0.08, users), 1000) - 1
        self._watches_per_day = rng.poisson(2.0, users)
        self._history_key = rng.integers(2**63, dtype=np.uint64)

        self.country = rng.choice(len(COUNTRIES), users, p=_normalize(1 / np.arange(1, len(COUNTRIES) + 1) ** 0.7))
        native = np.array([LANGUAGES.index(_COUNTRY_LANGUAGE[country]) for country in COUNTRIES])[self.country]
        self.language = np.where(rng.random(users) < 0.85, native, LANGUAGES.index("en"))
        self.main_device = rng.choice(len(DEVICES), users, p=(0.62, 0.08, 0.17, 0.10, 0.03))
        self.account_age_days = np.floor(np.exp(rng.normal(5.5, 1.2, users))).astype(np.float32)
        activity = np.log(self.user_popularity * users)
        log_views = 6 + activity + rng.normal(0, 1.2, users)
        self.user_views = np.floor(np.exp(log_views)).astype(np.float32)
        log_watches = log_views - 1.6 + 0.5 * self.propensity + rng.normal(0, 0.4, users)
        self.user_watches = np.floor(np.exp(log_watches)).astype(np.float32)

    def _make_videos(self, rng: np.random.Generator, videos: int) -> None:
        self.video_popularity = _zipf(rng, videos, exponent=0.8)
        sizes = _normalize(1 / np.arange(1, len(TOPICS) + 1) ** 0.5)
        self.topic = rng.choice(len(TOPICS), videos, p=rng.permutation(sizes))
        self.trend = rng.permutation(np.linspace(-1.5, 1.5, len(TOPICS)))[self.topic]
        self.video_vector = (rng.standard_normal((videos, _TASTE_WIDTH)) / np.sqrt(_TASTE_WIDTH)).astype(np.float32)
        self.viral_video = int(rng.integers(videos))

        self.creators = -(-videos // 5)
        creator = rng.choice(self.creators, videos, p=_zipf(rng, self.creators, exponent=0.8))
        self.creator = np.array([f"creator_{number}" for number in range(self.creators)], "S")[creator]
        talent = rng.standard_normal(self.creators)
        quality = 0.6 * talent[creator] + 0.8 * rng.standard_normal(videos)
        self.quality = _standardize(quality, self.video_popularity)
        fame = np.bincount(creator, self.video_popularity, self.creators) * self.creators
        followers = np.exp(7 + np.log(fame + 0.01) + 0.5 * talent + rng.normal(0, 1.5, self.creators))
        self.creator_followers = np.floor(followers).astype(np.float32)[creator]

        self.log_duration = rng.normal(1.4, 0.8, videos).astype(np.float32)
        self.video_age_days = np.exp(rng.normal(2.8, 1.2, videos)).astype(np.float32)
        log_views = 9 + np.log(self.video_popularity * videos) + rng.normal(0, 1.0, videos)
        self.video_views = np.floor(np.exp(log_views)).astype(np.float32)
        log_likes = log_views - 3.5 + 0.4 * self.quality + rng.normal(0, 0.5, videos)
        self.video_likes = np.floor(np.exp(log_likes)).astype(np.float32)

        kinds = len(TAGS) // len(TOPICS)
        topic_tag = self.topic[:, np.newaxis] * kinds + rng.integers(kinds, size=(videos, TAG_WIDTH))
        tag = np.where(
            rng.random((videos, TAG_WIDTH)) < 0.7, topic_tag, rng.integers(len(TAGS), size=(videos, TAG_WIDTH))
        )
        is_tag = np.arange(TAG_WIDTH) < rng.integers(1, TAG_WIDTH + 1, size=(videos, 1))
        self.tags = np.where(is_tag, np.array(TAGS, "S")[tag], MISSING_STRING)

    def _draw_shelves(self) -> None:
        """Draws videos of each topic in proportion to their popularity, at equal steps of the cumulative popularity.

        A topic without videos gets draws from all videos.
        """
        shelves = []
        steps = (np.arange(_SHELF_DRAWS) + 0.5) / _SHELF_DRAWS
        for topic in range(len(TOPICS)):
            videos = np.flatnonzero(self.topic == topic)
            if not len(videos):
                videos = np.arange(len(self.topic))
            ends = np.cumsum(self.video_popularity[videos])
            shelves.append(videos[np.searchsorted(ends, steps * ends[-1])])
        self._shelves = np.stack(shelves)


def _zipf(rng: np.random.Generator, count: int, exponent: float) -> np.ndarray:
    """Returns shares proportional to ``rank ** -exponent``, in random order, so that an id does not reveal its rank."""
    return rng.permutation(_normalize(np.arange(1, count + 1) ** -exponent))


def _normalize(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def _standardize(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scales values to weighted mean 0 and standard deviation 1 along the first axis.

    The average rates of the log then hardly depend on the seed.
    """
    centered = values - np.average(values, axis=0, weights=weights)
    deviation = np.sqrt(np.average(centered**2, axis=0, weights=weights))
    # With a single video, the deviation is 0.
    return (centered / np.maximum(deviation, 1e-6)).astype(np.float32)


def _mix_bits(bits: np.ndarray) -> np.ndarray:
    """Applies the finalizer of splitmix64, which maps neighboring numbers to independent ones.

    The arithmetic of uint64 wraps around, as the finalizer requires.
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))

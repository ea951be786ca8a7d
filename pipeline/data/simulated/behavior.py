"""How the users of the simulated platform behave: from impressions to chances, expected values and labels.

Six tasks, as in the paper: ``click``, ``like``, ``share``, ``long_watch`` (binary), ``watch_time`` (minutes, 0 without a
click) and ``satisfaction`` (1 to 5, asked of a random 3 % of the impressions). Likes, shares and long watches need a
click. A watch of a click lasts ``exp(m + s L)`` minutes, L logistic: its mean and the chance that it is long then have
closed forms, and its tail is moderately heavy (Pareto, index 1 / s).

Shapes: B rows.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..source import Columns
from .hazards import tail_factors, tail_mean
from .world import COUNTRIES, TOPICS, Platform, Stream, stream

ANSWER_RATE = 0.03
SCORES = 8

# By device: how much a long video is disliked, how much longer a watch lasts.
_SMALL_SCREEN = np.array([0.5, 0.2, 0.0, -0.4, -0.1], np.float32)
_LEANING_BACK = np.array([0.0, 0.1, 0.1, 0.5, 0.2], np.float32)
_WATCH_SPREAD = 0.35
_LONG_FRACTION = 0.5


@dataclasses.dataclass(frozen=True)
class Impressions:
    """Who was shown what and how, before labels and before any hazard of the columns, ``[B]`` each.

    Attributes:
      user: Number of the user.
      video: Number of the video.
      device: Position in ``DEVICES``.
      hour: 0 to 23.
      position: Place in the slate, 0 on top.
      network_mbps: Speed of the network.
      recent_ctr: The video's recent rate of clicks, a noisy measurement of its quality.
      scores: Scores of the retrieval stage, ``[B, SCORES]``.
      fresh: What ``fresh_score`` tells, mean 0 and deviation 1; 0 where the feature does not exist yet.
    """

    user: np.ndarray
    video: np.ndarray
    device: np.ndarray
    hour: np.ndarray
    position: np.ndarray
    network_mbps: np.ndarray
    recent_ctr: np.ndarray
    scores: np.ndarray
    fresh: np.ndarray


@dataclasses.dataclass(frozen=True)
class Chances:
    """What may come of impressions, ``[B]`` each.

    Attributes:
      click: Probability of a click.
      like, share: Probabilities given a click.
      watch: m, the logarithm of the typical minutes watched, given a click.
      enough: The logarithm of the minutes that make a long watch.
      contentment: The mean answer is ``1 + 4 * contentment``.
    """

    click: np.ndarray
    like: np.ndarray
    share: np.ndarray
    watch: np.ndarray
    enough: np.ndarray
    contentment: np.ndarray


class Behavior:
    """The hidden model of a platform's users.

    Args:
      platform: Its users and videos.
      seed: The log's seed.
    """

    def __init__(self, platform: Platform, seed: int):
        rng = stream(seed, Stream.BEHAVIOR)
        self._platform = platform
        self._country_topic = rng.standard_normal((len(COUNTRIES), len(TOPICS))).astype(np.float32)
        peak = rng.integers(24, size=(len(TOPICS), 1))
        self._topic_hour = (np.sqrt(2) * np.cos((np.arange(24) - peak) * (2 * np.pi / 24))).astype(np.float32)
        self._topic_appeal = rng.standard_normal(len(TOPICS)).astype(np.float32)
        self._topic_share = rng.standard_normal(len(TOPICS)).astype(np.float32)

    def affinity(self, users: np.ndarray, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How well videos suit users, by topic and within the topic, each of deviation about 1, ``[B]``."""
        world = self._platform
        by_topic = world.taste[users, world.topic[videos]]
        within = np.einsum("bk,bk->b", world.taste_vector[users], world.video_vector[videos])
        return by_topic, within

    def chances(self, rows: Impressions, day: int) -> Chances:
        """What may come of impressions on a day: exact, given all that determines it."""
        world = self._platform
        user, video = rows.user, rows.video
        topic = world.topic[video]
        by_topic, within = self.affinity(user, video)
        affinity = 0.7 * by_topic + 0.2 * within
        quality, propensity = world.quality[video], world.propensity[user]
        length = world.log_duration[video] - np.float32(1.4)
        novelty = np.exp(-0.5 * np.square(np.log(world.video_age_days[video] + day) - 2.5))
        # A slow network spoils long videos; a faster one than needed helps nobody.
        stalls = _sigmoid(2.0 * (length - np.log(rows.network_mbps) + 2.0))
        agreement = np.tanh(rows.scores[:, 3] * rows.scores[:, 4])
        moment = self._topic_hour[topic, rows.hour]
        place = np.log1p(rows.position.astype(np.float32))

        click = _sigmoid(
            -0.75
            + affinity
            + 0.35 * self._topic_appeal[topic]
            + 0.45 * quality
            + 0.45 * propensity
            - 0.65 * place
            + 0.6 * novelty
            - 0.9 * stalls
            + 0.7 * agreement
            + 0.25 * moment
            + 0.1 * self._country_topic[world.country[user], topic]
            - _SMALL_SCREEN[rows.device] * length
            + 0.6 * rows.fresh
        )
        watch = (
            0.6
            + 0.7 * length
            + 0.25 * affinity
            + 0.25 * quality
            + _LEANING_BACK[rows.device]
            - 0.6 * stalls
            + 0.1 * moment
        )
        like = _sigmoid(-1.95 + 0.6 * affinity + 0.5 * quality + 0.3 * quality * affinity + 0.3 * novelty)
        share = _sigmoid(-2.75 + 0.4 * affinity + 0.3 * quality + 0.5 * self._topic_share[topic] + 0.4 * moment)
        return Chances(
            click=click,
            like=like,
            share=share,
            watch=watch,
            enough=world.log_duration[video] + np.float32(np.log(_LONG_FRACTION)),
            contentment=_sigmoid(0.6 + 0.5 * affinity + 0.6 * quality - 0.8 * stalls),
        )


def expected(chances: Chances, tail_strength: float = 0.0) -> Columns:
    """The expected value of each task's label, ``[B]``, float32.

    Args:
      chances: What may come of the impressions.
      tail_strength: Strength of the ``heavy_labels`` hazard; 0 when it is not in effect.
    """
    # Mean of exp(s L) for a logistic L.
    spread = np.pi * _WATCH_SPREAD / np.sin(np.pi * _WATCH_SPREAD)
    minutes = np.exp(chances.watch) * np.float32(spread * (tail_mean(tail_strength) if tail_strength else 1.0))
    return {
        "click": chances.click,
        "like": chances.click * chances.like,
        "share": chances.click * chances.share,
        "long_watch": chances.click * _sigmoid((chances.watch - chances.enough) / _WATCH_SPREAD),
        "watch_time": chances.click * minutes,
        "satisfaction": 1 + 4 * chances.contentment,
    }


def draw_labels(
    rng: np.random.Generator, chances: Chances, tail_rng: np.random.Generator, tail_strength: float = 0.0
) -> Columns:
    """One outcome for each row, ``[B]``, float32; ``satisfaction`` is NaN where it was not asked.

    Args:
      rng: Random stream of the labels.
      chances: What may come of the impressions.
      tail_rng: Random stream of the ``heavy_labels`` hazard.
      tail_strength: Its strength; 0 when it is not in effect.
    """
    rows = len(chances.click)
    click = rng.random(rows, np.float32) < chances.click
    like = click & (rng.random(rows, np.float32) < chances.like)
    share = click & (rng.random(rows, np.float32) < chances.share)
    watch = chances.watch + _WATCH_SPREAD * rng.logistic(size=rows)
    long_watch = click & (watch > chances.enough)
    minutes = np.exp(watch)
    if tail_strength:
        # A fault of the log's clock, say: the hazard changes what is recorded, not what was a long watch.
        minutes = minutes * tail_factors(tail_rng, rows, tail_strength)
    answered = np.flatnonzero(rng.random(rows, np.float32) < ANSWER_RATE)
    satisfaction = np.full(rows, np.nan, np.float32)
    satisfaction[answered] = 1 + rng.binomial(4, chances.contentment[answered])
    return {
        "click": click.astype(np.float32),
        "like": like.astype(np.float32),
        "share": share.astype(np.float32),
        "long_watch": long_watch.astype(np.float32),
        "watch_time": np.where(click, minutes, 0.0).astype(np.float32),
        "satisfaction": satisfaction,
    }


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))

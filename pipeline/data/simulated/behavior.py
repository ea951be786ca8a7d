"""The users of the simulated platform: from impressions to probabilities, expected labels and drawn labels.

There are six tasks, as in the paper. ``click``, ``like``, ``share`` and ``long_watch`` are binary. ``watch_time`` is in
minutes, and 0 without a click. ``satisfaction`` is a survey answer from 1 to 5 for a random 3% of the impressions.
Only a clicked impression can have a like, a share or a long watch.

After a click, the video is watched for ``exp(m + s L)`` minutes, where L has a logistic distribution. The mean and the
probability of a long watch then have closed forms, and the tail is moderately heavy (Pareto, index 1 / s).

Shapes: B rows.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..columns import Columns
from .hazards import draw_tail_factors, tail_mean
from .world import COUNTRIES, TOPICS, Platform, RandomStream, make_rng

ANSWER_RATE = 0.03
SCORES = 8

# For each device: how much users dislike long videos, and how much longer they watch.
_LENGTH_AVERSION = np.array([0.5, 0.2, 0.0, -0.4, -0.1], np.float32)
_WATCH_BONUS = np.array([0.0, 0.1, 0.1, 0.5, 0.2], np.float32)
_WATCH_SPREAD = 0.35
_LONG_FRACTION = 0.5


@dataclasses.dataclass(frozen=True)
class Impressions:
    """The user, the video and the context of each impression, before labels and before any hazard; ``[B]`` each.

    Attributes:
      user: Number of the user.
      video: Number of the video.
      device: Position in ``DEVICES``.
      hour: 0 to 23.
      position: Position in the slate, 0 on top.
      network_mbps: Speed of the network in Mbit/s.
      recent_ctr: The video's recent click-through rate, a noisy measurement of its quality.
      scores: Scores of the retrieval stage, ``[B, SCORES]``.
      fresh: The signal behind ``fresh_score``, mean 0 and standard deviation 1; 0 before the feature exists.
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
class OutcomeModel:
    """The distribution of the labels of some impressions; ``[B]`` each.

    Attributes:
      click: Probability of a click.
      like: Probability of a like, given a click.
      share: Probability of a share, given a click.
      log_minutes: m, the logarithm of the median minutes watched, given a click.
      log_long_minutes: Logarithm of the minimum minutes of a long watch.
      satisfaction: Mean satisfaction, from 0 to 1. The mean answer is ``1 + 4 * satisfaction``.
    """

    click: np.ndarray
    like: np.ndarray
    share: np.ndarray
    log_minutes: np.ndarray
    log_long_minutes: np.ndarray
    satisfaction: np.ndarray


class Behavior:
    """The hidden model of a platform's users.

    Args:
      platform: The users and videos.
      seed: The log's seed.
    """

    def __init__(self, platform: Platform, seed: int):
        rng = make_rng(seed, RandomStream.BEHAVIOR)
        self._platform = platform
        self._country_topic = rng.standard_normal((len(COUNTRIES), len(TOPICS))).astype(np.float32)
        peak = rng.integers(24, size=(len(TOPICS), 1))
        self._topic_hour = (np.sqrt(2) * np.cos((np.arange(24) - peak) * (2 * np.pi / 24))).astype(np.float32)
        self._topic_appeal = rng.standard_normal(len(TOPICS)).astype(np.float32)
        self._topic_share = rng.standard_normal(len(TOPICS)).astype(np.float32)

    def affinity(self, users: np.ndarray, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns how well videos suit users, by topic and within the topic: two arrays ``[B]``, standard deviation about 1."""
        world = self._platform
        by_topic = world.taste[users, world.topic[videos]]
        within = np.einsum("bk,bk->b", world.taste_vector[users], world.video_vector[videos])
        return by_topic, within

    def predict(self, rows: Impressions, day: int) -> OutcomeModel:
        """Returns the exact distribution of the labels of impressions on a day."""
        world = self._platform
        user, video = rows.user, rows.video
        topic = world.topic[video]
        by_topic, within = self.affinity(user, video)
        affinity = 0.7 * by_topic + 0.2 * within
        quality, propensity = world.quality[video], world.propensity[user]
        length = world.log_duration[video] - np.float32(1.4)
        novelty = np.exp(-0.5 * np.square(np.log(world.video_age_days[video] + day) - 2.5))
        # A slow network makes long videos stall. Beyond what a video needs, more speed changes nothing.
        stalls = _sigmoid(2.0 * (length - np.log(rows.network_mbps) + 2.0))
        agreement = np.tanh(rows.scores[:, 3] * rows.scores[:, 4])
        time_of_day = self._topic_hour[topic, rows.hour]
        log_position = np.log1p(rows.position.astype(np.float32))

        click = _sigmoid(
            -0.75
            + affinity
            + 0.35 * self._topic_appeal[topic]
            + 0.45 * quality
            + 0.45 * propensity
            - 0.65 * log_position
            + 0.6 * novelty
            - 0.9 * stalls
            + 0.7 * agreement
            + 0.25 * time_of_day
            + 0.1 * self._country_topic[world.country[user], topic]
            - _LENGTH_AVERSION[rows.device] * length
            + 0.6 * rows.fresh
        )
        log_minutes = (
            0.6
            + 0.7 * length
            + 0.25 * affinity
            + 0.25 * quality
            + _WATCH_BONUS[rows.device]
            - 0.6 * stalls
            + 0.1 * time_of_day
        )
        like = _sigmoid(-1.95 + 0.6 * affinity + 0.5 * quality + 0.3 * quality * affinity + 0.3 * novelty)
        share = _sigmoid(-2.75 + 0.4 * affinity + 0.3 * quality + 0.5 * self._topic_share[topic] + 0.4 * time_of_day)
        return OutcomeModel(
            click=click,
            like=like,
            share=share,
            log_minutes=log_minutes,
            log_long_minutes=world.log_duration[video] + np.float32(np.log(_LONG_FRACTION)),
            satisfaction=_sigmoid(0.6 + 0.5 * affinity + 0.6 * quality - 0.8 * stalls),
        )


def expected_labels(outcomes: OutcomeModel, tail_strength: float = 0.0) -> Columns:
    """Returns the expected value of each task's label, ``[B]``, float32.

    Args:
      outcomes: The distribution of the labels.
      tail_strength: Strength of the ``heavy_labels`` hazard; 0 if it is not in effect.
    """
    # The mean of exp(s L) for a logistic L.
    spread = np.pi * _WATCH_SPREAD / np.sin(np.pi * _WATCH_SPREAD)
    minutes = np.exp(outcomes.log_minutes) * np.float32(spread * (tail_mean(tail_strength) if tail_strength else 1.0))
    return {
        "click": outcomes.click,
        "like": outcomes.click * outcomes.like,
        "share": outcomes.click * outcomes.share,
        "long_watch": outcomes.click * _sigmoid((outcomes.log_minutes - outcomes.log_long_minutes) / _WATCH_SPREAD),
        "watch_time": outcomes.click * minutes,
        "satisfaction": 1 + 4 * outcomes.satisfaction,
    }


def draw_labels(
    rng: np.random.Generator, outcomes: OutcomeModel, tail_rng: np.random.Generator, tail_strength: float = 0.0
) -> Columns:
    """Draws the labels of each row, ``[B]``, float32; ``satisfaction`` is NaN for rows without an answer.

    Args:
      rng: Random numbers of the labels.
      outcomes: The distribution of the labels.
      tail_rng: Random numbers of the ``heavy_labels`` hazard.
      tail_strength: Strength of that hazard; 0 if it is not in effect.
    """
    rows = len(outcomes.click)
    click = rng.random(rows, np.float32) < outcomes.click
    like = click & (rng.random(rows, np.float32) < outcomes.like)
    share = click & (rng.random(rows, np.float32) < outcomes.share)
    log_minutes = outcomes.log_minutes + _WATCH_SPREAD * rng.logistic(size=rows)
    long_watch = click & (log_minutes > outcomes.log_long_minutes)
    minutes = np.exp(log_minutes)
    if tail_strength:
        # The hazard is a fault of the recording: it changes the recorded minutes, not whether the watch was long.
        minutes = minutes * draw_tail_factors(tail_rng, rows, tail_strength)
    answered = np.flatnonzero(rng.random(rows, np.float32) < ANSWER_RATE)
    satisfaction = np.full(rows, np.nan, np.float32)
    satisfaction[answered] = 1 + rng.binomial(4, outcomes.satisfaction[answered])
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

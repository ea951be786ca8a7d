"""The hidden users and videos: popularity, taste and the histories that reflect it."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.config.settings import Simulated
from steadyrank.pipeline.data.simulated.world import HISTORY_WIDTH, TAGS, Platform, Stream, stream


@pytest.fixture(scope="module")
def platform():
    return Platform(Simulated(users=3000, videos=1500, seed=5))


@pytest.mark.parametrize(("name", "exponent"), [("user_popularity", 0.7), ("video_popularity", 0.8)])
def test_popularity_is_a_zipf_law_in_no_order_of_the_ids(platform, name, exponent):
    popularity = getattr(platform, name)
    assert popularity.sum() == pytest.approx(1)
    ranked = np.sort(popularity)[::-1]
    np.testing.assert_allclose(ranked / ranked[0], np.arange(1, len(ranked) + 1) ** -exponent)
    assert abs(np.corrcoef(popularity, np.arange(len(popularity)))[0, 1]) < 0.1


def test_streams_of_different_purpose_day_or_block_differ():
    keys = [(s, p, d, i) for s in (0, 1) for p in (Stream.USERS, Stream.LABELS) for d in (0, 1) for i in (0, 1)]
    assert len({stream(*key).random() for key in keys}) == len(keys)
    assert stream(1, Stream.LABELS, 2, 3).random() == stream(1, Stream.LABELS, 2, 3).random()


def test_quality_and_propensity_are_centred_where_the_impressions_are(platform):
    for values, weights in (
        (platform.quality, platform.video_popularity),
        (platform.propensity, platform.user_popularity),
    ):
        assert np.average(values, weights=weights) == pytest.approx(0, abs=1e-5)
        assert np.average(values**2, weights=weights) == pytest.approx(1, rel=1e-4)


def test_a_history_holds_videos_of_topics_that_the_user_likes(platform):
    users = np.arange(3000)
    history = platform.history(users, day=3)
    there = history >= 0
    topics = platform.topic[history]
    liking = platform.taste[users[:, np.newaxis], topics][there]
    strangers = platform.taste[np.roll(users, 1)[:, np.newaxis], topics][there]
    assert liking.mean() > 1.0
    assert abs(strangers.mean()) < 0.1


def test_within_a_topic_histories_hold_popular_videos_most(platform):
    history = platform.history(np.arange(3000), day=3)
    watched = np.bincount(history[history >= 0], minlength=1500)
    topic = np.bincount(platform.topic).argmax()
    of_topic = np.flatnonzero(platform.topic == topic)
    share = platform.video_popularity[of_topic] / platform.video_popularity[of_topic].sum()
    got = watched[of_topic] / watched[of_topic].sum()
    np.testing.assert_allclose(got, share, atol=5 * np.sqrt(share.max() / watched[of_topic].sum()))
    assert got[share.argmax()] > 5 * np.median(got)


def test_a_history_ends_in_padding_and_its_length_varies(platform):
    history = platform.history(np.arange(3000), day=0)
    assert history.shape == (3000, HISTORY_WIDTH)
    assert history.dtype == np.int64
    assert history.min() == -1
    assert history.max() < 1500
    there = history >= 0
    assert np.all(there[:, :-1] >= there[:, 1:])
    assert set(there.sum(axis=1)) == set(range(HISTORY_WIDTH + 1))


def test_a_history_moves_on_from_day_to_day(platform):
    users = np.arange(3000)
    before, after = platform.history(users, 6), platform.history(users, 7)
    new = platform._watches_per_day
    for count in range(4):
        rows = new == count
        np.testing.assert_array_equal(after[rows, count:], before[rows, : HISTORY_WIDTH - count])
    assert np.mean(after != before) > 0.5


def test_a_history_depends_on_its_own_user_alone(platform):
    users = np.array([7, 7, 2999, 0])
    np.testing.assert_array_equal(platform.history(users, 2), platform.history(np.arange(3000), 2)[users])


def test_tags_are_known_and_mostly_of_the_topic(platform):
    there = platform.tags != b""
    assert np.all(there[:, :-1] >= there[:, 1:])
    assert set(there.sum(axis=1)) == {1, 2, 3, 4, 5}
    assert set(platform.tags[there]) <= {tag.encode() for tag in TAGS}
    own = np.array(TAGS, "S")[3 * platform.topic]
    topic = np.array([name.split(b"_")[0] for name in own])
    of_topic = np.char.startswith(platform.tags, topic[:, np.newaxis])
    assert of_topic[there].mean() > 0.65


def test_counters_span_orders_of_magnitude(platform):
    for counter in (platform.user_views, platform.video_views, platform.video_likes, platform.creator_followers):
        low, high = np.quantile(counter, (0.02, 0.98))
        assert high > 50 * (low + 1)
        assert counter.min() >= 0


def test_the_smallest_platform_works():
    platform = Platform(Simulated(users=1, videos=1))
    assert set(platform.history(np.zeros(3, np.int64), day=5).ravel()) <= {-1, 0}
    assert np.isfinite(platform.quality).all()
    assert np.isfinite(platform.propensity).all()

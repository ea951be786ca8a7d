"""The hidden users and videos: popularity, taste and histories."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.config.settings import Simulated
from steadyrank.pipeline.data.simulated.world import HISTORY_WIDTH, TAGS, Platform, RandomStream, make_rng


@pytest.fixture(scope="module")
def platform():
    return Platform(Simulated(users=3000, videos=1500, seed=5))


@pytest.mark.parametrize(("name", "exponent"), [("user_popularity", 0.7), ("video_popularity", 0.8)])
def test_popularity_follows_a_zipf_law_in_random_order_of_the_ids(platform, name, exponent):
    popularity = getattr(platform, name)
    assert popularity.sum() == pytest.approx(1)
    ranked = np.sort(popularity)[::-1]
    np.testing.assert_allclose(ranked / ranked[0], np.arange(1, len(ranked) + 1) ** -exponent)
    assert abs(np.corrcoef(popularity, np.arange(len(popularity)))[0, 1]) < 0.1


def test_random_streams_differ_by_seed_purpose_day_and_block():
    keys = [
        (s, p, d, i) for s in (0, 1) for p in (RandomStream.USERS, RandomStream.LABELS) for d in (0, 1) for i in (0, 1)
    ]
    assert len({make_rng(*key).random() for key in keys}) == len(keys)
    assert make_rng(1, RandomStream.LABELS, 2, 3).random() == make_rng(1, RandomStream.LABELS, 2, 3).random()


def test_quality_and_propensity_are_standardized_over_the_impressions(platform):
    for values, weights in (
        (platform.quality, platform.video_popularity),
        (platform.propensity, platform.user_popularity),
    ):
        assert np.average(values, weights=weights) == pytest.approx(0, abs=1e-5)
        assert np.average(values**2, weights=weights) == pytest.approx(1, rel=1e-4)


def test_a_history_holds_videos_of_topics_the_user_likes(platform):
    users = np.arange(3000)
    history = platform.history(users, day=3)
    is_video = history >= 0
    topics = platform.topic[history]
    liking = platform.taste[users[:, np.newaxis], topics][is_video]
    other_users = platform.taste[np.roll(users, 1)[:, np.newaxis], topics][is_video]
    assert liking.mean() > 1.0
    assert abs(other_users.mean()) < 0.1


def test_within_a_topic_histories_follow_the_popularity_of_videos(platform):
    history = platform.history(np.arange(3000), day=3)
    watched = np.bincount(history[history >= 0], minlength=1500)
    topic = np.bincount(platform.topic).argmax()
    of_topic = np.flatnonzero(platform.topic == topic)
    share = platform.video_popularity[of_topic] / platform.video_popularity[of_topic].sum()
    actual_share = watched[of_topic] / watched[of_topic].sum()
    np.testing.assert_allclose(actual_share, share, atol=5 * np.sqrt(share.max() / watched[of_topic].sum()))
    assert actual_share[share.argmax()] > 5 * np.median(actual_share)


def test_histories_vary_in_length_and_are_padded_at_the_end(platform):
    history = platform.history(np.arange(3000), day=0)
    assert history.shape == (3000, HISTORY_WIDTH)
    assert history.dtype == np.int64
    assert history.min() == -1
    assert history.max() < 1500
    is_video = history >= 0
    assert np.all(is_video[:, :-1] >= is_video[:, 1:])
    assert set(is_video.sum(axis=1)) == set(range(HISTORY_WIDTH + 1))


def test_a_history_advances_from_day_to_day(platform):
    users = np.arange(3000)
    before, after = platform.history(users, 6), platform.history(users, 7)
    new = platform._watches_per_day
    for count in range(4):
        rows = new == count
        np.testing.assert_array_equal(after[rows, count:], before[rows, : HISTORY_WIDTH - count])
    assert np.mean(after != before) > 0.5


def test_a_history_depends_only_on_its_user(platform):
    users = np.array([7, 7, 2999, 0])
    np.testing.assert_array_equal(platform.history(users, 2), platform.history(np.arange(3000), 2)[users])


def test_tags_are_in_the_vocabulary_and_mostly_belong_to_the_topic(platform):
    is_tag = platform.tags != b""
    assert np.all(is_tag[:, :-1] >= is_tag[:, 1:])
    assert set(is_tag.sum(axis=1)) == {1, 2, 3, 4, 5}
    assert set(platform.tags[is_tag]) <= {tag.encode() for tag in TAGS}
    topic_tag = np.array(TAGS, "S")[3 * platform.topic]
    topic = np.array([name.split(b"_")[0] for name in topic_tag])
    of_topic = np.char.startswith(platform.tags, topic[:, np.newaxis])
    assert of_topic[is_tag].mean() > 0.65


def test_counters_span_orders_of_magnitude(platform):
    for counter in (platform.user_views, platform.video_views, platform.video_likes, platform.creator_followers):
        low, high = np.quantile(counter, (0.02, 0.98))
        assert high > 50 * (low + 1)
        assert counter.min() >= 0


def test_a_platform_with_one_user_and_one_video_works():
    platform = Platform(Simulated(users=1, videos=1))
    assert set(platform.history(np.zeros(3, np.int64), day=5).ravel()) <= {-1, 0}
    assert np.isfinite(platform.quality).all()
    assert np.isfinite(platform.propensity).all()

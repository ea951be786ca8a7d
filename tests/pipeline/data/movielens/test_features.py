from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.data.movielens.features import (
    NUMERICAL_FEATURES,
    SECONDS_PER_DAY,
    Ratings,
    compute_clock_features,
    compute_labels,
    compute_numerical_features,
    find_liked_ratings,
    parse_release_years,
)

MOVIES = {
    "movie_id": np.array([b"10", b"20", b"30", b"40"]),
    "movie_title": np.array([b"One (1950)", b"Two", b"Three (1995)", b"Four (1996)"]),
    "movie_genres": np.array([[0, 2, 1], [1, -1, -1], [-1, -1, -1], [2, 1, -1]]),
}
START = 870_000_000


def make_ratings(rows) -> Ratings:
    """Makes ratings from (time, user, movie, half stars); times are in units of five hours."""
    time, user, movie, halves = (np.array(column) for column in zip(*sorted(rows), strict=True))
    return Ratings(
        time=START + time * 18_000,
        user=user.astype(np.int32),
        movie=movie.astype(np.int32),
        stars=(halves / 2).astype(np.float32),
        users={"user_id": np.array([b"1", b"2", b"3"])},
        movies=MOVIES,
        classes={"movie_genres": 3},
    )


row = st.tuples(st.integers(0, 7), st.integers(0, 2), st.integers(0, 3), st.integers(1, 10))
tables = st.lists(row, min_size=1, max_size=40)


def select_rows(ratings: Ratings, rows) -> Ratings:
    columns = {name: getattr(ratings, name)[rows] for name in ("time", "user", "movie", "stars")}
    return dataclasses.replace(ratings, **columns)


def smoothed_mean(values, prior, prior_count=5):
    return (sum(values) + prior_count * prior) / (len(values) + prior_count)


def compute_reference(ratings: Ratings) -> dict[str, list[float]]:
    """Computes every feature from its definition, one row at a time."""
    time, user, movie, stars = ratings.time, ratings.user, ratings.movie, ratings.stars.astype(float)
    columns: dict[str, list[float]] = {name: [] for name in NUMERICAL_FEATURES}
    surprise: list[float] = []
    for i in range(len(time)):
        earlier_rows = [j for j in range(i) if time[j] < time[i]]
        by_user = [j for j in earlier_rows if user[j] == user[i]]
        of_movie = [j for j in earlier_rows if movie[j] == movie[i]]
        everyone = smoothed_mean([stars[j] for j in earlier_rows], 3.5, 100)
        likes = smoothed_mean([stars[j] >= 4 for j in earlier_rows], 0.5, 100)
        genres = [g for g in MOVIES["movie_genres"][movie[i]] if g >= 0]
        tastes = [
            smoothed_mean([surprise[j] for j in by_user if g in MOVIES["movie_genres"][movie[j]]], 0) for g in genres
        ]
        year = [1950, None, 1995, 1996][movie[i]]
        values = {
            "user_ratings": len(by_user),
            "user_days": (time[i] - min(time[j] for j in by_user)) / SECONDS_PER_DAY if by_user else 0,
            "user_mean_stars": smoothed_mean([stars[j] for j in by_user], everyone),
            "user_like_share": smoothed_mean([stars[j] >= 4 for j in by_user], likes),
            "movie_ratings": len(of_movie),
            "movie_days": (time[i] - min(time[j] for j in of_movie)) / SECONDS_PER_DAY if of_movie else 0,
            "movie_mean_stars": smoothed_mean([stars[j] for j in of_movie], everyone),
            "movie_like_share": smoothed_mean([stars[j] >= 4 for j in of_movie], likes),
            "movie_lead": smoothed_mean([stars[j] - columns["user_mean_stars"][j] for j in of_movie], 0),
            "movie_age": 1970 + time[i] / (365.2425 * SECONDS_PER_DAY) - year if year else 0,
            "user_lead": smoothed_mean([surprise[j] for j in by_user], 0),
            "user_genre_lead": sum(tastes) / len(tastes) if tastes else 0,
            "user_latest_lead": smoothed_mean([surprise[j] for j in by_user][-10:], 0),
        }
        values["expected_stars"] = values["user_mean_stars"] + values["movie_lead"] + values["user_lead"]
        surprise.append(stars[i] - values["user_mean_stars"] - values["movie_lead"])
        for name, value in values.items():
            columns[name].append(value)
    return columns


@settings(deadline=None)
@given(rows=tables)
def test_numerical_features_match_their_definitions(rows):
    ratings = make_ratings(rows)
    actual, expected = compute_numerical_features(ratings), compute_reference(ratings)
    assert tuple(actual) == NUMERICAL_FEATURES
    for name in NUMERICAL_FEATURES:
        # Leads are rounded to 1/1024 star before they are summed; stars and likes are not affected by this rounding.
        tolerance = 3e-3 if name.endswith("lead") or name == "expected_stars" else 1e-5
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5, atol=tolerance, err_msg=name)
        assert actual[name].dtype == np.float32


@settings(deadline=None)
@given(rows=tables, cut=st.integers(0, 7), seed=st.integers(0, 99))
def test_later_ratings_do_not_change_earlier_features(rows, cut, seed):
    ratings = make_ratings(rows)
    time = START + cut * 18_000
    draw = np.random.default_rng(seed)
    is_later = ratings.time >= time
    stars = np.where(is_later, draw.integers(1, 11, len(is_later)) / 2, ratings.stars).astype(np.float32)
    remaining = np.flatnonzero(~is_later | (draw.random(len(is_later)) < 0.5))
    for changed, original_rows in (
        (dataclasses.replace(ratings, stars=stars), np.arange(len(is_later))),
        (select_rows(ratings, remaining), remaining),
    ):
        if not len(original_rows):
            continue
        unaffected = np.flatnonzero(changed.time <= time)
        before, after = compute_numerical_features(ratings), compute_numerical_features(changed)
        for name in NUMERICAL_FEATURES:
            np.testing.assert_array_equal(
                after[name][unaffected], before[name][original_rows[unaffected]], err_msg=name
            )
        np.testing.assert_array_equal(
            find_liked_ratings(changed).latest(unaffected, 10),
            find_liked_ratings(ratings).latest(original_rows[unaffected], 10),
        )


@settings(deadline=None)
@given(rows=tables, seed=st.integers(0, 99))
def test_the_order_of_ratings_with_equal_times_does_not_matter(rows, seed):
    ratings = make_ratings(rows)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(rows)), ratings.time))
    before, after = compute_numerical_features(ratings), compute_numerical_features(select_rows(ratings, shuffled))
    # The window of the latest ten can start among ratings with equal times; all other features ignore their order.
    for name in set(NUMERICAL_FEATURES) - {"user_latest_lead"}:
        np.testing.assert_array_equal(after[name], before[name][shuffled], err_msg=name)


def test_liked_ratings_are_strictly_earlier_and_the_latest_comes_first():
    ratings = make_ratings([(0, 0, 0, 8), (1, 0, 1, 7), (2, 0, 2, 10), (2, 1, 3, 10), (2, 0, 3, 9), (3, 0, 0, 2)])
    latest = find_liked_ratings(ratings).latest(slice(None), 3)
    assert latest.tolist() == [[-1, -1, -1], [0, -1, -1], [0, -1, -1], [0, -1, -1], [-1, -1, -1], [3, 2, 0]]


def test_numerical_features_match_values_computed_by_hand():
    features = compute_numerical_features(make_ratings([(0, 0, 1, 10), (0, 1, 1, 4), (24, 0, 1, 6)]))
    assert features["user_ratings"].tolist() == [0, 0, 1]
    assert features["movie_ratings"].tolist() == [0, 0, 2]
    assert features["movie_days"].tolist() == [0, 0, 5]
    everyone = (100 * 3.5 + 5 + 2) / 102
    assert features["user_mean_stars"] == pytest.approx([3.5, 3.5, (5 * everyone + 5) / 6])
    # The means of the two raters were 3.5, so their ratings are 1.5 stars above and 1.5 stars below.
    assert features["movie_lead"].tolist() == [0, 0, 0]
    assert features["user_lead"] == pytest.approx([0, 0, 1.5 / 6])


def test_labels_follow_their_thresholds():
    task_labels = compute_labels(np.array([0.5, 2, 2.5, 3.5, 4, 4.5, 5], np.float32))
    assert task_labels["like"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert task_labels["love"].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert task_labels["dislike"].tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert task_labels["rating"].tolist() == [0.5, 2, 2.5, 3.5, 4, 4.5, 5]
    assert {label.dtype.name for label in task_labels.values()} == {"float32"}


def test_the_release_year_is_the_last_year_in_parentheses():
    titles = np.array([b"Toy (1995)", b"2001 (1968) ", b"Three (1995) (V)", b"none", b"two (1990) (1991)", b"(12345)"])
    assert parse_release_years(titles).tolist() == [1995, 1968, 1995, -1, 1991, -1]


def test_a_movie_rated_before_its_release_year_has_age_zero():
    ratings = dataclasses.replace(make_ratings([(0, 0, 3, 5)]), time=np.array([0]))
    assert compute_numerical_features(ratings)["movie_age"].tolist() == [0]


def test_clock_features_are_in_utc_and_weeks_start_on_monday():
    # 1997-12-04 15:55:49 UTC, a Thursday; one second before the next Monday; and the start of that Monday.
    features = compute_clock_features(np.array([881_250_949, 881_539_199, 881_539_200]))
    assert features["hour"].tolist() == [15, 23, 0]
    assert features["weekday"].tolist() == [3, 6, 0]

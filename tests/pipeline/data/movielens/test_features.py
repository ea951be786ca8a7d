from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.data.movielens import features as movielens_features
from steadyrank.pipeline.data.movielens.features import DAY, NUMBERS, Ratings

MOVIES = {
    "movie_id": np.array([b"10", b"20", b"30", b"40"]),
    "movie_title": np.array([b"One (1950)", b"Two", b"Three (1995)", b"Four (1996)"]),
    "movie_genres": np.array([[0, 2, 1], [1, -1, -1], [-1, -1, -1], [2, 1, -1]]),
}
START = 870_000_000


def make(rows) -> Ratings:
    """Ratings from (time, user, movie, half stars), times in units of five hours."""
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


def pick(ratings: Ratings, rows) -> Ratings:
    columns = {name: getattr(ratings, name)[rows] for name in ("time", "user", "movie", "stars")}
    return dataclasses.replace(ratings, **columns)


def mean(values, towards, strength=5):
    return (sum(values) + strength * towards) / (len(values) + strength)


def reference(ratings: Ratings) -> dict[str, list[float]]:
    """Every number by its definition, a row at a time."""
    time, user, movie, stars = ratings.time, ratings.user, ratings.movie, ratings.stars.astype(float)
    found: dict[str, list[float]] = {name: [] for name in NUMBERS}
    surprise: list[float] = []
    for i in range(len(time)):
        known = [j for j in range(i) if time[j] < time[i]]
        mine = [j for j in known if user[j] == user[i]]
        its = [j for j in known if movie[j] == movie[i]]
        everyone = mean([stars[j] for j in known], 3.5, 100)
        likes = mean([stars[j] >= 4 for j in known], 0.5, 100)
        genres = [g for g in MOVIES["movie_genres"][movie[i]] if g >= 0]
        tastes = [mean([surprise[j] for j in mine if g in MOVIES["movie_genres"][movie[j]]], 0) for g in genres]
        year = [1950, None, 1995, 1996][movie[i]]
        values = {
            "user_ratings": len(mine),
            "user_days": (time[i] - min(time[j] for j in mine)) / DAY if mine else 0,
            "user_mean_stars": mean([stars[j] for j in mine], everyone),
            "user_like_share": mean([stars[j] >= 4 for j in mine], likes),
            "movie_ratings": len(its),
            "movie_days": (time[i] - min(time[j] for j in its)) / DAY if its else 0,
            "movie_mean_stars": mean([stars[j] for j in its], everyone),
            "movie_like_share": mean([stars[j] >= 4 for j in its], likes),
            "movie_lead": mean([stars[j] - found["user_mean_stars"][j] for j in its], 0),
            "movie_age": 1970 + time[i] / (365.2425 * DAY) - year if year else 0,
            "user_lead": mean([surprise[j] for j in mine], 0),
            "user_genre_lead": sum(tastes) / len(tastes) if tastes else 0,
            "user_latest_lead": mean([surprise[j] for j in mine][-10:], 0),
        }
        values["expected_stars"] = values["user_mean_stars"] + values["movie_lead"] + values["user_lead"]
        surprise.append(stars[i] - values["user_mean_stars"] - values["movie_lead"])
        for name, value in values.items():
            found[name].append(value)
    return found


@settings(deadline=None)
@given(rows=tables)
def test_numbers_are_what_their_definitions_say(rows):
    ratings = make(rows)
    came, wanted = movielens_features.numbers(ratings), reference(ratings)
    assert tuple(came) == NUMBERS
    for name in NUMBERS:
        # Leads are summed in steps of 1/1024 star; plain stars and likes are whole in it.
        tolerance = 3e-3 if name.endswith("lead") or name == "expected_stars" else 1e-5
        np.testing.assert_allclose(came[name], wanted[name], rtol=1e-5, atol=tolerance, err_msg=name)
        assert came[name].dtype == np.float32


@settings(deadline=None)
@given(rows=tables, cut=st.integers(0, 7), seed=st.integers(0, 99))
def test_ratings_from_a_time_on_change_nothing_up_to_that_time(rows, cut, seed):
    ratings = make(rows)
    time = START + cut * 18_000
    draw = np.random.default_rng(seed)
    later = ratings.time >= time
    stars = np.where(later, draw.integers(1, 11, len(later)) / 2, ratings.stars).astype(np.float32)
    kept = np.flatnonzero(~later | (draw.random(len(later)) < 0.5))
    for changed, original_rows in (
        (dataclasses.replace(ratings, stars=stars), np.arange(len(later))),
        (pick(ratings, kept), kept),
    ):
        if not len(original_rows):
            continue
        same = np.flatnonzero(changed.time <= time)
        before, after = movielens_features.numbers(ratings), movielens_features.numbers(changed)
        for name in NUMBERS:
            np.testing.assert_array_equal(after[name][same], before[name][original_rows[same]], err_msg=name)
        np.testing.assert_array_equal(
            movielens_features.liked_before(changed).latest(same, 10),
            movielens_features.liked_before(ratings).latest(original_rows[same], 10),
        )


@settings(deadline=None)
@given(rows=tables, seed=st.integers(0, 99))
def test_order_within_one_time_carries_no_knowledge(rows, seed):
    ratings = make(rows)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(rows)), ratings.time))
    before, after = movielens_features.numbers(ratings), movielens_features.numbers(pick(ratings, shuffled))
    # The latest ten may cut through ratings of one time; all else is free of order.
    for name in set(NUMBERS) - {"user_latest_lead"}:
        np.testing.assert_array_equal(after[name], before[name][shuffled], err_msg=name)


def test_liked_films_come_latest_first_and_strictly_from_before():
    ratings = make([(0, 0, 0, 8), (1, 0, 1, 7), (2, 0, 2, 10), (2, 1, 3, 10), (2, 0, 3, 9), (3, 0, 0, 2)])
    latest = movielens_features.liked_before(ratings).latest(slice(None), 3)
    assert latest.tolist() == [[-1, -1, -1], [0, -1, -1], [0, -1, -1], [0, -1, -1], [-1, -1, -1], [3, 2, 0]]


def test_numbers_by_hand():
    came = movielens_features.numbers(make([(0, 0, 1, 10), (0, 1, 1, 4), (24, 0, 1, 6)]))
    assert came["user_ratings"].tolist() == [0, 0, 1]
    assert came["movie_ratings"].tolist() == [0, 0, 2]
    assert came["movie_days"].tolist() == [0, 0, 5]
    everyone = (100 * 3.5 + 5 + 2) / 102
    assert came["user_mean_stars"] == pytest.approx([3.5, 3.5, (5 * everyone + 5) / 6])
    # The two raters' own means were 3.5: leads of +1.5 and -1.5.
    assert came["movie_lead"].tolist() == [0, 0, 0]
    assert came["user_lead"] == pytest.approx([0, 0, 1.5 / 6])


def test_labels():
    came = movielens_features.labels(np.array([0.5, 2, 2.5, 3.5, 4, 4.5, 5], np.float32))
    assert came["like"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert came["love"].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert came["dislike"].tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert came["rating"].tolist() == [0.5, 2, 2.5, 3.5, 4, 4.5, 5]
    assert {label.dtype.name for label in came.values()} == {"float32"}


def test_release_year_is_the_last_in_parentheses():
    titles = np.array([b"Toy (1995)", b"2001 (1968) ", b"Three (1995) (V)", b"none", b"two (1990) (1991)", b"(12345)"])
    assert movielens_features.release_years(titles).tolist() == [1995, 1968, 1995, -1, 1991, -1]


def test_a_film_rated_before_its_release_year_has_age_0():
    ratings = dataclasses.replace(make([(0, 0, 3, 5)]), time=np.array([0]))
    assert movielens_features.numbers(ratings)["movie_age"].tolist() == [0]


def test_clock_is_in_utc_and_weeks_begin_on_monday():
    # 1997-12-04 15:55:49 UTC, a Thursday; then one second before and at the Monday that follows.
    came = movielens_features.clock(np.array([881_250_949, 881_539_199, 881_539_200]))
    assert came["hour"].tolist() == [15, 23, 0]
    assert came["weekday"].tolist() == [3, 6, 0]

"""Computes the features and labels of MovieLens: pure functions from ratings to columns.

The features of a row use only ratings with a strictly smaller time, the row's own time, and the fixed attributes of its
user and its movie. Only the labels use the row's own stars.

Every mean is smoothed toward a prior, as if some ratings with the prior's value came first, because the first ratings
of a movie or a user say little about the next ones.

Shapes: n ratings, U users, M movies, G genres of a movie.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from .history import History, RecentRows

LIKE_STARS, LOVE_STARS, DISLIKE_STARS = 4.0, 5.0, 2.0
SECONDS_PER_DAY = 86_400

NUMERICAL_FEATURES = (
    *("user_ratings", "user_days", "user_mean_stars", "user_like_share"),
    *("movie_ratings", "movie_days", "movie_mean_stars", "movie_like_share", "movie_lead", "movie_age"),
    *("user_lead", "user_genre_lead", "user_latest_lead", "expected_stars"),
)

# The priors of the mean rating and the share of likes over all users.
_PRIOR_STARS, _PRIOR_LIKES = 3.5, 0.5
# The number of ratings that a prior counts as: for one user or movie, and for all users together.
_PRIOR_COUNT, _GLOBAL_PRIOR_COUNT = 5.0, 100.0
# The number of ratings that make up a user's mood.
_MOOD_RATINGS = 10
# Stars are summed as integers in units of this fraction of a star, so that sums are exact. Half stars are whole numbers
# of units.
_UNITS_PER_STAR = 1024
_SECONDS_PER_YEAR = 365.2425 * SECONDS_PER_DAY
_RELEASE_YEAR = re.compile(rb"\((\d{4})\)")


@dataclasses.dataclass(frozen=True)
class Ratings:
    """A table of ratings in order of time, and the fixed attributes of their users and movies.

    Attributes:
      time: Seconds since 1970, not decreasing, int64, ``[n]``.
      user: Position of the rating's user in ``users``, int32, ``[n]``.
      movie: Position of the rating's movie in ``movies``, int32, ``[n]``.
      stars: From 0.5 to 5, float32, ``[n]``.
      users: Attributes of the users by name, each ``[U]``; always ``user_id``, bytes.
      movies: Attributes of the movies by name: ``movie_id`` and ``movie_title``, bytes, ``[M]``; ``movie_genres``,
        int64, ``[M, G]``, padded with -1.
      classes: Number of classes of each attribute whose values are class numbers; always ``movie_genres``.
    """

    time: np.ndarray
    user: np.ndarray
    movie: np.ndarray
    stars: np.ndarray
    users: Mapping[str, np.ndarray]
    movies: Mapping[str, np.ndarray]
    classes: Mapping[str, int]


def compute_labels(stars: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the label of each task, float32.

    The tasks are ``like`` (4 stars or more), ``love`` (5 stars), ``dislike`` (2 stars or less) and ``rating`` (the
    stars).
    """
    tasks = {
        "like": stars >= LIKE_STARS,
        "love": stars >= LOVE_STARS,
        "dislike": stars <= DISLIKE_STARS,
        "rating": stars,
    }
    return {name: label.astype(np.float32) for name, label in tasks.items()}


def parse_release_years(titles: np.ndarray) -> np.ndarray:
    """Returns the year in the last parentheses of each title that hold four digits, int64; -1 for a title without one.

    Example:
    >>> parse_release_years(np.array([b"Toy Story (1995)", b"Untitled"]))
    array([1995,   -1])
    """
    matches = (_RELEASE_YEAR.findall(title) for title in titles.tolist())
    return np.array([int(years[-1]) if years else -1 for years in matches], np.int64)


def compute_clock_features(time: np.ndarray) -> dict[str, np.ndarray]:
    """Computes ``hour`` (0 to 23) and ``weekday`` (0 is Monday) in UTC, int64."""
    # 1970 began on a Thursday.
    return {"hour": time // 3600 % 24, "weekday": (time // SECONDS_PER_DAY + 3) % 7}


def compute_numerical_features(ratings: Ratings) -> dict[str, np.ndarray]:
    """Computes the features ``NUMERICAL_FEATURES`` of each row, float32, ``[n]``.

    | feature | value just before the rating |
    |---|---|
    | ``user_ratings`` | number of the user's ratings |
    | ``user_days`` | days since the user's first rating |
    | ``user_mean_stars`` | the user's mean rating, smoothed toward the mean of all users |
    | ``user_like_share`` | share of likes among the user's ratings, smoothed toward the share of all users |
    | ``movie_ratings`` | number of the movie's ratings |
    | ``movie_days`` | days since the movie's first rating |
    | ``movie_mean_stars`` | the movie's mean rating, smoothed toward the mean of all users |
    | ``movie_like_share`` | share of likes among the movie's ratings, smoothed toward the share of all users |
    | ``movie_lead`` | mean stars of the movie above its raters' own means, so that severe raters do not make it look worse |
    | ``movie_age`` | years since the movie's release; 0 if the year is unknown |
    | ``user_lead`` | mean stars of the user's ratings above ``user_mean_stars + movie_lead`` at their time |
    | ``user_genre_lead`` | the same for movies of one genre, averaged over this movie's genres: the user's taste |
    | ``user_latest_lead`` | the same for the user's latest 10 ratings: the user's mood |
    | ``expected_stars`` | ``user_mean_stars + movie_lead + user_lead`` |
    """
    time, stars = ratings.time, ratings.stars
    likes = stars >= LIKE_STARS

    everyone = History(np.zeros_like(ratings.user), time)
    mean_stars = _smoothed_mean(everyone, stars, _PRIOR_STARS, prior_count=_GLOBAL_PRIOR_COUNT)
    mean_likes = _smoothed_mean(everyone, likes, _PRIOR_LIKES, prior_count=_GLOBAL_PRIOR_COUNT)

    user = History(ratings.user, time)
    columns = {
        "user_ratings": user.count,
        "user_days": (time - user.first(time)) / SECONDS_PER_DAY,
        "user_mean_stars": _smoothed_mean(user, stars, mean_stars),
        "user_like_share": _smoothed_mean(user, likes, mean_likes),
    }
    movie = History(ratings.movie, time)
    columns |= {
        "movie_ratings": movie.count,
        "movie_days": (time - movie.first(time)) / SECONDS_PER_DAY,
        "movie_mean_stars": _smoothed_mean(movie, stars, mean_stars),
        "movie_like_share": _smoothed_mean(movie, likes, mean_likes),
        "movie_lead": _smoothed_mean(movie, stars - columns["user_mean_stars"]),
        "movie_age": _movie_age(time, parse_release_years(ratings.movies["movie_title"])[ratings.movie]),
    }
    # The part of a rating that the means at its time did not predict. It depends on that rating and earlier ones, so
    # every later row may use it.
    surprise = stars - columns["user_mean_stars"] - columns["movie_lead"]
    columns |= {
        "user_lead": _smoothed_mean(user, surprise),
        "user_genre_lead": _genre_lead(ratings, surprise),
        "user_latest_lead": _smoothed_mean(user, surprise, last=_MOOD_RATINGS),
    }
    columns["expected_stars"] = columns["user_mean_stars"] + columns["movie_lead"] + columns["user_lead"]
    return {name: columns[name].astype(np.float32) for name in NUMERICAL_FEATURES}


def find_liked_ratings(ratings: Ratings) -> RecentRows:
    """Returns, for each row, the earlier rows in which its user liked a movie."""
    return History(ratings.user, ratings.time).select(ratings.stars >= LIKE_STARS)


def _smoothed_mean(
    history: History,
    values: np.ndarray,
    prior: np.ndarray | float = 0.0,
    prior_count: float = _PRIOR_COUNT,
    last: int = 0,
) -> np.ndarray:
    """Returns ``(sum + prior_count * prior) / (count + prior_count)`` over the values before each row, float32.

    With ``last``, only that many of the latest values are used.
    """
    total = history.sum(np.rint(values * np.float32(_UNITS_PER_STAR)).astype(np.int64), last) / _UNITS_PER_STAR
    count = np.minimum(history.count, last) if last else history.count
    return ((total + prior_count * prior) / (count + prior_count)).astype(np.float32)


def _genre_lead(ratings: Ratings, surprise: np.ndarray) -> np.ndarray:
    genres = ratings.movies["movie_genres"]
    lead = np.zeros(len(surprise), np.float32)
    # One genre at a time, so that memory does not grow with the number of genres of a movie.
    for genre in range(ratings.classes["movie_genres"]):
        rows = np.flatnonzero((genres == genre).any(axis=1)[ratings.movie])
        lead[rows] += _smoothed_mean(History(ratings.user[rows], ratings.time[rows]), surprise[rows])
    genres_per_movie = np.maximum((genres >= 0).sum(axis=1), 1)
    return lead / genres_per_movie[ratings.movie]


def _movie_age(time: np.ndarray, year: np.ndarray) -> np.ndarray:
    return np.where(year >= 0, np.maximum(1970 + time / _SECONDS_PER_YEAR - year, 0.0), 0.0)

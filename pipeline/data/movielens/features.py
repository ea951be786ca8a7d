"""What a ranker may know when a film is rated: pure functions from the ratings to columns.

Every feature of a row comes from ratings of a strictly smaller time, from the row's own time, and from what is fixed of
its user and its film. The labels alone come from the row's own stars.

A mean is drawn towards what would be expected without it, as if some ratings of that height came first: a film's or a
user's first ratings say little about the next.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from .history import History, Recent

LIKE, LOVE, DISLIKE = 4.0, 5.0, 2.0
DAY = 86_400

NUMBERS = (
    *("user_ratings", "user_days", "user_mean_stars", "user_like_share"),
    *("movie_ratings", "movie_days", "movie_mean_stars", "movie_like_share", "movie_lead", "movie_age"),
    *("user_lead", "user_genre_lead", "user_latest_lead", "expected_stars"),
)

# What stands for the mean rating and the share of likes of everyone, until there are ratings.
_PRIOR_STARS, _PRIOR_LIKES = 3.5, 0.5
# The ratings that a prior is worth.
_STRENGTH, _STRENGTH_OF_EVERYONE = 5.0, 100.0
# Ratings that make up a user's mood.
_LATEST = 10
# Stars are summed in integers of this fraction of a star, so that sums are exact; half stars are whole in it.
_UNITS = 1024
_YEAR = 365.2425 * DAY
_RELEASE_YEAR = re.compile(rb"\((\d{4})\)")


@dataclasses.dataclass(frozen=True)
class Ratings:
    """A table of n ratings in the order of time, beside it the fixed attributes of U users and M films.

    Attributes:
      time: Seconds since 1970, not decreasing, int64, shape [n].
      user: Place of the rating's user in ``users``, int32, shape [n].
      movie: Place of the rating's film in ``movies``, int32, shape [n].
      stars: From 0.5 to 5, float32, shape [n].
      users: Attributes of the users by name, each of shape [U]; always ``user_id``, bytes.
      movies: Attributes of the films by name: ``movie_id`` and ``movie_title``, bytes, shape [M]; ``movie_genres``,
        int64, shape [M, G], -1 where a film has fewer than G.
      classes: For an attribute whose values are numbers of classes, how many classes there are; always ``movie_genres``.
    """

    time: np.ndarray
    user: np.ndarray
    movie: np.ndarray
    stars: np.ndarray
    users: Mapping[str, np.ndarray]
    movies: Mapping[str, np.ndarray]
    classes: Mapping[str, int]


def labels(stars: np.ndarray) -> dict[str, np.ndarray]:
    """The label of each task, float32: ``like`` (4 stars or more), ``love`` (5), ``dislike`` (2 or less), ``rating``."""
    tasks = {"like": stars >= LIKE, "love": stars >= LOVE, "dislike": stars <= DISLIKE, "rating": stars}
    return {name: label.astype(np.float32) for name, label in tasks.items()}


def release_years(titles: np.ndarray) -> np.ndarray:
    """The year in the last parentheses that hold four digits, of each title; int64, -1 where there is none."""
    found = (_RELEASE_YEAR.findall(title) for title in titles.tolist())
    return np.array([int(years[-1]) if years else -1 for years in found], np.int64)


def clock(time: np.ndarray) -> dict[str, np.ndarray]:
    """``hour`` (0 to 23) and ``weekday`` (Monday is 0) in UTC, int64."""
    # 1970 began on a Thursday.
    return {"hour": time // 3600 % 24, "weekday": (time // DAY + 3) % 7}


def numbers(ratings: Ratings) -> dict[str, np.ndarray]:
    """The numerical features of every row, by the names in ``NUMBERS``; float32, shape [n].

    ================== ==============================================================================================
    user_ratings       The user's ratings so far.
    user_days          Days since the user's first rating.
    user_mean_stars    The user's mean rating so far, towards everyone's.
    user_like_share    The share of likes among the user's ratings so far, towards everyone's.
    movie_ratings      The film's ratings so far.
    movie_days         Days since the film was first rated.
    movie_mean_stars   The film's mean rating so far, towards everyone's.
    movie_like_share   The share of likes among the film's ratings so far, towards everyone's.
    movie_lead         By how many stars the film was rated above its raters' own means: a film is not worse because
                       severe users came first.
    movie_age          Years since the film's release; 0 where the year is unknown.
    user_lead          By how many stars the user rated above ``user_mean_stars + movie_lead`` at the time.
    user_genre_lead    The same among films of a genre, averaged over this film's genres: the user's taste.
    user_latest_lead   The same among the user's latest 10 ratings: the user's mood.
    expected_stars     ``user_mean_stars + movie_lead + user_lead``.
    ================== ==============================================================================================
    """
    time, stars = ratings.time, ratings.stars
    likes = stars >= LIKE

    everyone = History(np.zeros_like(ratings.user), time)
    mean_stars = _mean(everyone, stars, _PRIOR_STARS, strength=_STRENGTH_OF_EVERYONE)
    mean_likes = _mean(everyone, likes, _PRIOR_LIKES, strength=_STRENGTH_OF_EVERYONE)

    user = History(ratings.user, time)
    columns = {
        "user_ratings": user.count,
        "user_days": (time - user.first(time)) / DAY,
        "user_mean_stars": _mean(user, stars, mean_stars),
        "user_like_share": _mean(user, likes, mean_likes),
    }
    movie = History(ratings.movie, time)
    columns |= {
        "movie_ratings": movie.count,
        "movie_days": (time - movie.first(time)) / DAY,
        "movie_mean_stars": _mean(movie, stars, mean_stars),
        "movie_like_share": _mean(movie, likes, mean_likes),
        "movie_lead": _mean(movie, stars - columns["user_mean_stars"]),
        "movie_age": _age(time, release_years(ratings.movies["movie_title"])[ratings.movie]),
    }
    # What a past rating told beyond the means of its time. Made of that rating and of what came before it, so it is
    # known to every later row.
    surprise = stars - columns["user_mean_stars"] - columns["movie_lead"]
    columns |= {
        "user_lead": _mean(user, surprise),
        "user_genre_lead": _genre_lead(ratings, surprise),
        "user_latest_lead": _mean(user, surprise, last=_LATEST),
    }
    columns["expected_stars"] = columns["user_mean_stars"] + columns["movie_lead"] + columns["user_lead"]
    return {name: columns[name].astype(np.float32) for name in NUMBERS}


def liked_before(ratings: Ratings) -> Recent:
    """For each row the earlier ratings, as rows, in which its user liked a film."""
    return History(ratings.user, ratings.time).recent(ratings.stars >= LIKE)


def _mean(
    history: History, values: np.ndarray, towards: np.ndarray | float = 0.0, strength: float = _STRENGTH, last: int = 0
) -> np.ndarray:
    """Mean of the values before each row, float32, drawn ``towards`` a prior that is worth ``strength`` values."""
    total = history.sum(np.rint(values * np.float32(_UNITS)).astype(np.int64), last) / _UNITS
    count = np.minimum(history.count, last) if last else history.count
    return ((total + strength * towards) / (count + strength)).astype(np.float32)


def _genre_lead(ratings: Ratings, surprise: np.ndarray) -> np.ndarray:
    genres = ratings.movies["movie_genres"]
    lead = np.zeros(len(surprise), np.float32)
    # A genre at a time, so that memory does not grow with the genres of a film.
    for genre in range(ratings.classes["movie_genres"]):
        rows = np.flatnonzero((genres == genre).any(axis=1)[ratings.movie])
        lead[rows] += _mean(History(ratings.user[rows], ratings.time[rows]), surprise[rows])
    genres_of_movie = np.maximum((genres >= 0).sum(axis=1), 1)
    return lead / genres_of_movie[ratings.movie]


def _age(time: np.ndarray, year: np.ndarray) -> np.ndarray:
    return np.where(year >= 0, np.maximum(1970 + time / _YEAR - year, 0.0), 0.0)

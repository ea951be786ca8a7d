"""MovieLens as a source: each rating is an impression, and each period of ratings is a day.

All features are computed once, when the log is opened (:mod:`.features`). Reading a block only gathers rows.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from ....models.schema import MISSING_STRING, Feature, Schema, Task
from ...config.errors import ConfigError
from ...config.settings import Movielens
from ..columns import Columns
from ..source import Source
from .features import (
    NUMERICAL_FEATURES,
    Ratings,
    compute_clock_features,
    compute_labels,
    compute_numerical_features,
    find_liked_ratings,
    parse_release_years,
)
from .ratings import read_ratings

BLOCK_ROWS = 8_192
LIKED_MOVIES = 10

# The stars have a standard deviation of 1.1, so the squared error of a constant prediction is about twice the cross
# entropy of one. Half the weight keeps this task from outweighing the others.
RATING_WEIGHT = 0.5

# The attribute in TFDS of each demographic feature.
_DEMOGRAPHICS = {
    "user_gender": "user_gender",
    "user_occupation": "user_occupation_label",
    "user_age_group": "bucketized_user_age",
    "user_age": "raw_user_age",
    "user_zip_region": "user_zip_code",
}
_LOG_FEATURES = ("user_ratings", "user_days", "movie_ratings", "movie_days", "movie_age")
_RELEASE_YEARS = tuple(range(1870, 2040))
_AGE_GROUPS = (1, 18, 25, 35, 45, 50, 56)
_ZIP_BUCKETS = 64


class MovielensLog(Source):
    """The ratings of MovieLens in order of time, a :class:`~..source.Source`.

    The tasks are ``like`` (4 stars or more), ``love`` (5 stars), ``dislike`` (2 stars or less) and ``rating`` (a
    regression of the stars). The features of a rating use only ratings with a strictly smaller time, the rating's own
    time, and the fixed attributes of its user and its movie; :func:`.features.compute_numerical_features` lists the
    numerical ones. The schema has demographic features if the ratings have demographics, as ``100k-ratings`` and
    ``1m-ratings`` do.

    All rows stay in memory, about 100 bytes each.

    Args:
      settings: The set of ratings, the folder of the data, and the number of days to cut the ratings into.

    Raises:
      ConfigError: If the set of ratings or the folder does not exist, or if there are fewer ratings than days.
      UserError: If the data is missing and cannot be downloaded, or if it is damaged.
    """

    def __init__(self, settings: Movielens) -> None:
        self._ratings = ratings = read_ratings(settings.name, settings.data_dir)
        rows = len(ratings.time)
        if not 1 <= settings.periods <= rows:
            raise ConfigError(
                f"data.movielens.periods must be from 1 to the number of ratings, {rows} in '{settings.name}', got "
                f"{settings.periods}"
            )
        self.schema = make_schema(ratings)
        self._starts = compute_period_starts(rows, settings.periods)
        self._days = format_period_names(ratings.time[self._starts[:-1]])
        self._numerical = compute_numerical_features(ratings)
        self._liked = find_liked_ratings(ratings)
        self._users = make_user_columns(ratings)
        self._release_years = parse_release_years(ratings.movies["movie_title"])

    @property
    def days(self) -> list[str]:
        """The names of the periods, each with the date of its first rating."""
        return self._days

    def block_rows(self, day: int) -> list[int]:
        """Returns the number of rows of each block of a day: ``BLOCK_ROWS``, and the remainder in the last block."""
        rows = int(self._starts[day + 1] - self._starts[day])
        return [min(BLOCK_ROWS, rows - start) for start in range(0, rows, BLOCK_ROWS)]

    def block(self, day: int, index: int) -> Columns:
        """Returns the columns of one block."""
        start = int(self._starts[day]) + index * BLOCK_ROWS
        rows = slice(start, start + self.block_rows(day)[index])
        ratings = self._ratings
        user, movie = ratings.user[rows], ratings.movie[rows]
        liked = self._liked.latest(rows, LIKED_MOVIES)
        movie_ids = ratings.movies["movie_id"]
        columns = {
            "movie_id": movie_ids[movie],
            "user_liked_movies": np.where(liked >= 0, movie_ids[ratings.movie[liked]], MISSING_STRING),
            "movie_genres": ratings.movies["movie_genres"][movie],
            "movie_year": self._release_years[movie],
        }
        columns |= {name: values[user] for name, values in self._users.items()}
        columns |= {name: values[rows].copy() for name, values in self._numerical.items()}
        columns |= compute_clock_features(ratings.time[rows]) | compute_labels(ratings.stars[rows])
        return {name: columns[name] for name in self.schema.columns}


def make_schema(ratings: Ratings) -> Schema:
    """Makes the schema of a log of these ratings, with demographic features if the users have them.

    Ids are hashed. The number of buckets is a power of two, and at least twice the number of ids.
    """

    def numerical_feature(name: str) -> Feature:
        return Feature(name, "numerical", normalization="log" if name in _LOG_FEATURES else "standard")

    movies: dict[str, Any] = {
        "dtype": "string",
        "hash_buckets": _count_buckets(ratings.movies["movie_id"]),
        "table": "movies",
    }
    genres = ratings.movies["movie_genres"].shape[1]
    features = [
        Feature("user_id", "categorical", dtype="string", hash_buckets=_count_buckets(ratings.users["user_id"])),
        Feature("movie_id", "categorical", **movies),
        Feature("user_liked_movies", "bag", width=LIKED_MOVIES, **movies),
        Feature("movie_genres", "bag", width=genres, num_ids=ratings.classes["movie_genres"], embedding_width=8),
        Feature("movie_year", "categorical", vocabulary=_RELEASE_YEARS, embedding_width=4),
        Feature("hour", "categorical", num_ids=24, embedding_width=4),
        Feature("weekday", "categorical", num_ids=7, embedding_width=4),
        *(numerical_feature(name) for name in NUMERICAL_FEATURES),
        *_demographic_features(ratings),
    ]
    tasks = (
        Task("like", "binary"),
        Task("love", "binary"),
        Task("dislike", "binary"),
        Task("rating", "regression", weight=RATING_WEIGHT),
    )
    return Schema(tuple(features), tasks)


def make_user_columns(ratings: Ratings) -> dict[str, np.ndarray]:
    """Returns the columns that are constant for a user, each ``[U]``: the id and the demographic features."""
    users = ratings.users
    columns = {"user_id": users["user_id"]}
    for feature in _demographic_features(ratings):
        values = users[_DEMOGRAPHICS[feature.name]]
        # One byte keeps the first digit of a zip code, which is its region.
        columns[feature.name] = values.astype("S1" if feature.dtype == "string" else feature.dtype)
    return columns


def compute_period_starts(rows: int, periods: int) -> np.ndarray:
    """Returns the first row of each period and the end of the last one, ``[periods + 1]``.

    If the rows cannot be divided equally, the first periods get one row more.

    Example:
    >>> compute_period_starts(rows=10, periods=3)
    array([ 0,  4,  7, 10])
    """
    lengths = np.full(periods, rows // periods)
    lengths[: rows % periods] += 1
    return np.concatenate([[0], np.cumsum(lengths)])


def format_period_names(first_times: np.ndarray) -> list[str]:
    """Returns names of periods, which sort in order of time.

    Each has the number of the period, from 0, and the date (UTC) of its first rating.
    """
    digits = max(2, len(str(len(first_times) - 1)))
    dates = (datetime.datetime.fromtimestamp(int(time), datetime.timezone.utc).date() for time in first_times)
    return [f"period_{i:0{digits}} ({date})" for i, date in enumerate(dates)]


def _demographic_features(ratings: Ratings) -> list[Feature]:
    """Returns the demographic features that the users have."""
    occupations = ratings.classes.get("user_occupation_label", 0)
    definitions: dict[str, dict[str, Any]] = {
        "user_gender": {"num_ids": 2, "embedding_width": 2},
        "user_occupation": {"num_ids": occupations, "embedding_width": 4},
        "user_age_group": {"vocabulary": _AGE_GROUPS, "embedding_width": 4},
        "user_age": {"kind": "numerical"},
        "user_zip_region": {"dtype": "string", "hash_buckets": _ZIP_BUCKETS, "embedding_width": 4},
    }
    available = (name for name in definitions if _DEMOGRAPHICS[name] in ratings.users)
    return [Feature(**{"name": name, "kind": "categorical"} | definitions[name]) for name in available]


def _count_buckets(ids: np.ndarray) -> int:
    return 1 << (2 * len(ids)).bit_length()

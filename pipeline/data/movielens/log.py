"""MovieLens as a log: each rating an impression, each period of ratings a day.

The ratings come through TensorFlow Datasets (:mod:`.movielens_tfds`). What a row may know of the past is worked out
once, when the log is made (:mod:`.movielens_features`); a block then only gathers.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from ....models.schema import MISSING_STRING, Feature, Schema, Task
from ...config.errors import ConfigError
from ...config.settings import Movielens
from ..source import Columns, Source
from .features import NUMBERS, Ratings, clock, labels, liked_before, numbers, release_years
from .ratings import read_ratings

BLOCK_ROWS = 8_192
LIKED_MOVIES = 10

# Stars vary by 1.1 around their mean, so the squared error of knowing nothing is about twice a cross entropy of knowing
# nothing: halved, no task outweighs the others.
RATING_WEIGHT = 0.5

# TFDS's attribute behind each demographic feature.
_DEMOGRAPHICS = {
    "user_gender": "user_gender",
    "user_occupation": "user_occupation_label",
    "user_age_group": "bucketized_user_age",
    "user_age": "raw_user_age",
    "user_zip_region": "user_zip_code",
}
_COUNTERS = ("user_ratings", "user_days", "movie_ratings", "movie_days", "movie_age")
_RELEASE_YEARS = tuple(range(1870, 2040))
_AGE_GROUPS = (1, 18, 25, 35, 45, 50, 56)
_ZIP_BUCKETS = 64


class MovielensLog(Source):
    """The ratings of MovieLens in the order of time, a :class:`.source.Source`.

    The tasks are ``like`` (4 stars or more), ``love`` (5 stars), ``dislike`` (2 stars or less) and ``rating`` (a
    regression, in stars). Features come only from ratings of a strictly smaller time, from the rating's own time and
    from what is fixed of its user and its film; :func:`.movielens_features.numbers` lists the numbers. The schema has
    the demographic features where the ratings have demographics: in ``100k-ratings`` and ``1m-ratings``.

    All rows are held in memory, about 100 bytes each.

    Args:
      settings: Which ratings, where they lie, and into how many days they are cut.

    Raises:
      ConfigError: When there are no such ratings, no such folder, or fewer ratings than days.
      UserError: When the data is neither there nor can be downloaded, or is damaged.
    """

    def __init__(self, settings: Movielens) -> None:
        self._ratings = ratings = read_ratings(settings.name, settings.data_dir)
        rows = len(ratings.time)
        if not 1 <= settings.periods <= rows:
            raise ConfigError(
                f"data.movielens.periods must be from 1 to the number of ratings, {rows} in '{settings.name}', got "
                f"{settings.periods}"
            )
        self.schema = schema_of(ratings)
        self._starts = period_starts(rows, settings.periods)
        self._days = period_names(ratings.time[self._starts[:-1]])
        self._numbers = numbers(ratings)
        self._liked = liked_before(ratings)
        self._users = user_columns(ratings)
        self._release_years = release_years(ratings.movies["movie_title"])

    @property
    def days(self) -> list[str]:
        """The names of the periods, each with the date of its first rating."""
        return self._days

    def block_rows(self, day: int) -> list[int]:
        """Rows of each block of the day, in order: ``BLOCK_ROWS``, fewer in the last."""
        rows = int(self._starts[day + 1] - self._starts[day])
        return [min(BLOCK_ROWS, rows - start) for start in range(0, rows, BLOCK_ROWS)]

    def block(self, day: int, index: int) -> Columns:
        """The columns of one block, those of ``schema.columns``."""
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
        columns |= {name: values[rows].copy() for name, values in self._numbers.items()}
        columns |= clock(ratings.time[rows]) | labels(ratings.stars[rows])
        return {name: columns[name] for name in self.schema.columns}


def schema_of(ratings: Ratings) -> Schema:
    """The schema of a log of these ratings: demographic features where the users have them.

    Ids are hashed into a power of two of buckets, at least twice as many as there are ids.
    """

    def number(name: str) -> Feature:
        return Feature(name, "numerical", normalization="log" if name in _COUNTERS else "standard")

    movies: dict[str, Any] = {
        "dtype": "string",
        "hash_buckets": _buckets(ratings.movies["movie_id"]),
        "table": "movies",
    }
    genres = ratings.movies["movie_genres"].shape[1]
    features = [
        Feature("user_id", "categorical", dtype="string", hash_buckets=_buckets(ratings.users["user_id"])),
        Feature("movie_id", "categorical", **movies),
        Feature("user_liked_movies", "bag", width=LIKED_MOVIES, **movies),
        Feature("movie_genres", "bag", width=genres, num_ids=ratings.classes["movie_genres"], embedding_width=8),
        Feature("movie_year", "categorical", vocabulary=_RELEASE_YEARS, embedding_width=4),
        Feature("hour", "categorical", num_ids=24, embedding_width=4),
        Feature("weekday", "categorical", num_ids=7, embedding_width=4),
        *(number(name) for name in NUMBERS),
        *_demographics(ratings),
    ]
    tasks = (
        Task("like", "binary"),
        Task("love", "binary"),
        Task("dislike", "binary"),
        Task("rating", "regression", weight=RATING_WEIGHT),
    )
    return Schema(tuple(features), tasks)


def user_columns(ratings: Ratings) -> dict[str, np.ndarray]:
    """The columns that are fixed for a user, each of shape [U]: the id and what there is of demographics."""
    users = ratings.users
    columns = {"user_id": users["user_id"]}
    for feature in _demographics(ratings):
        values = users[_DEMOGRAPHICS[feature.name]]
        # A fixed width of one byte cuts a zip code down to its region.
        columns[feature.name] = values.astype("S1" if feature.dtype == "string" else feature.dtype)
    return columns


def period_starts(rows: int, periods: int) -> np.ndarray:
    """The first row of each period and the end of the last, shape [periods + 1]; the first ones longer by one."""
    lengths = np.full(periods, rows // periods)
    lengths[: rows % periods] += 1
    return np.concatenate([[0], np.cumsum(lengths)])


def period_names(first_times: np.ndarray) -> list[str]:
    """Names that sort as the periods do, counted from 0, each with the date (UTC) of its first rating."""
    digits = max(2, len(str(len(first_times) - 1)))
    dates = (datetime.datetime.fromtimestamp(int(time), datetime.timezone.utc).date() for time in first_times)
    return [f"period_{i:0{digits}} ({date})" for i, date in enumerate(dates)]


def _demographics(ratings: Ratings) -> list[Feature]:
    occupations = ratings.classes.get("user_occupation_label", 0)
    known: dict[str, dict[str, Any]] = {
        "user_gender": {"num_ids": 2, "embedding_width": 2},
        "user_occupation": {"num_ids": occupations, "embedding_width": 4},
        "user_age_group": {"vocabulary": _AGE_GROUPS, "embedding_width": 4},
        "user_age": {"kind": "numerical"},
        "user_zip_region": {"dtype": "string", "hash_buckets": _ZIP_BUCKETS, "embedding_width": 4},
    }
    there = (name for name in known if _DEMOGRAPHICS[name] in ratings.users)
    return [Feature(**{"name": name, "kind": "categorical"} | known[name]) for name in there]


def _buckets(ids: np.ndarray) -> int:
    return 1 << (2 * len(ids)).bit_length()

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.models.schema import MISSING_STRING
from steadyrank.pipeline.config.errors import ConfigError
from steadyrank.pipeline.config.settings import Movielens
from steadyrank.pipeline.data.movielens.log import BLOCK_ROWS, MovielensLog, compute_period_starts, format_period_names
from steadyrank.pipeline.data.movielens.ratings import read_ratings

DEMOGRAPHICS = {"user_gender", "user_occupation", "user_age_group", "user_age", "user_zip_region"}


def read_all(log: MovielensLog) -> dict[str, np.ndarray]:
    blocks = [log.block(day, i) for day in range(len(log.days)) for i in range(len(log.block_rows(day)))]
    return {name: np.concatenate([block[name] for block in blocks]) for name in log.schema.columns}


@pytest.fixture(scope="module")
def log(invented) -> MovielensLog:
    return MovielensLog(Movielens(name="100k-ratings", data_dir=str(invented), periods=7))


@pytest.fixture(scope="module")
def real(movielens_dir) -> MovielensLog:
    return MovielensLog(Movielens(data_dir=str(movielens_dir), periods=3))


@given(rows=st.integers(1, 500), periods=st.integers(1, 500))
def test_periods_partition_the_rows_and_differ_by_at_most_one_row(rows, periods):
    starts = compute_period_starts(rows, periods)
    lengths = np.diff(starts)
    assert (starts[0], starts[-1], len(lengths)) == (0, rows, periods)
    assert lengths.max() - lengths.min() <= 1
    assert (np.diff(lengths) <= 0).all()


def test_period_names_sort_by_time_and_contain_the_date():
    assert format_period_names(np.array([877_391_999, 877_392_000])) == [
        "period_00 (1997-10-20)",
        "period_01 (1997-10-21)",
    ]
    many = format_period_names(np.arange(101))
    assert (many[3], many[100]) == ("period_003 (1970-01-01)", "period_100 (1970-01-01)")
    assert many == sorted(many)


@pytest.mark.parametrize("name", ["100k-ratings", "latest-small-ratings"])
def test_blocks_match_the_schema(invented, name):
    log = MovielensLog(Movielens(name=name, data_dir=str(invented), periods=7))
    specs = log.schema.columns
    for day in range(7):
        for index, rows in enumerate(log.block_rows(day)):
            block = log.block(day, index)
            assert list(block) == list(specs)
            for column, (dtype, shape) in specs.items():
                assert block[column].shape == (rows, *shape), column
                assert block[column].dtype.kind == "S" if dtype == "string" else block[column].dtype == dtype, column
                if block[column].dtype.kind == "f":
                    assert np.isfinite(block[column]).all(), column
    assert log.expected(0, 0) is None
    assert (set(specs) & DEMOGRAPHICS) == (DEMOGRAPHICS if name == "100k-ratings" else set())


def test_rows_are_the_ratings_in_order_of_time(log, invented):
    ratings, columns = read_ratings("100k-ratings", str(invented)), read_all(log)
    assert [sum(log.block_rows(day)) for day in range(7)] == [29] * 4 + [28] * 3
    np.testing.assert_array_equal(columns["user_id"], ratings.users["user_id"][ratings.user])
    np.testing.assert_array_equal(columns["movie_id"], ratings.movies["movie_id"][ratings.movie])
    np.testing.assert_array_equal(columns["rating"], ratings.stars)
    np.testing.assert_array_equal(columns["like"], ratings.stars >= 4)
    np.testing.assert_array_equal(columns["love"], ratings.stars == 5)
    np.testing.assert_array_equal(columns["dislike"], ratings.stars <= 2)
    np.testing.assert_array_equal(columns["movie_year"], 1950 + columns["movie_id"].astype(int))


def test_liked_movies_are_strictly_earlier_ones_of_the_same_user(log, invented):
    ratings, columns = read_ratings("100k-ratings", str(invented)), read_all(log)
    for row in range(len(ratings.time)):
        earlier = [
            j for j in range(row) if ratings.time[j] < ratings.time[row] and ratings.user[j] == ratings.user[row]
        ]
        expected = [columns["movie_id"][j] for j in reversed(earlier) if ratings.stars[j] >= 4][:10]
        assert columns["user_liked_movies"][row].tolist() == expected + [MISSING_STRING] * (10 - len(expected))


def test_demographic_features_belong_to_the_user(log):
    columns = read_all(log)
    user = columns["user_id"].astype(int)
    np.testing.assert_array_equal(columns["user_age"], 15 + 4 * user)
    np.testing.assert_array_equal(columns["user_gender"], user % 2)
    np.testing.assert_array_equal(columns["user_zip_region"].astype(int), user % 10)
    assert set(columns["user_age_group"]) <= {1, 18, 25, 35, 45, 50, 56}


def test_ids_get_enough_buckets_and_the_history_shares_the_movie_table(log):
    features = {feature.name: feature for feature in log.schema.features}
    # For 12 users and 25 movies: the powers of two above 24 and 50.
    assert (features["user_id"].hash_buckets, features["movie_id"].hash_buckets) == (32, 64)
    assert features["user_liked_movies"].table_name == features["movie_id"].table_name
    counters = {name for name, feature in features.items() if feature.normalization == "log"}
    assert counters == {"user_ratings", "user_days", "movie_ratings", "movie_days", "movie_age"}


def test_changing_a_block_does_not_change_the_next_read(log):
    first = log.block(2, 0)
    original = {name: values.copy() for name, values in first.items()}
    for values in first.values():
        values[...] = 0
    for name, values in log.block(2, 0).items():
        np.testing.assert_array_equal(values, original[name], err_msg=name)


def test_more_periods_than_ratings_are_refused(invented):
    with pytest.raises(ConfigError, match=r"data\.movielens\.periods must be from 1 .* 200 in '100k-ratings', got 201"):
        MovielensLog(Movielens(name="100k-ratings", data_dir=str(invented), periods=201))


def test_days_of_the_real_ratings_are_cut_into_blocks(real):
    assert [real.block_rows(day) for day in range(3)] == [
        [BLOCK_ROWS] * 4 + [566],
        [BLOCK_ROWS] * 4 + [565],
        [BLOCK_ROWS] * 4 + [565],
    ]
    assert real.days[0] == "period_00 (1997-09-20)"


def test_features_of_the_real_ratings_predict_the_stars(real):
    columns = read_all(real)
    error = np.sqrt(np.mean((columns["expected_stars"] - columns["rating"]) ** 2))
    # A constant prediction has an error of 1.126 stars.
    assert error < 1.03
    assert columns["rating"].std() == pytest.approx(1.1257, abs=1e-3)
    # Before the first rating, only the prior is known.
    assert columns["expected_stars"][0] == 3.5

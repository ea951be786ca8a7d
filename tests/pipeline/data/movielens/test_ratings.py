from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from steadyrank.pipeline.config.errors import ConfigError, UserError
from steadyrank.pipeline.data.movielens.ratings import USER_ATTRIBUTES, read_ratings

NAME = "latest-small-ratings"
ACTION, COMEDY, DRAMA, WESTERN = 0, 4, 7, 19


@pytest.fixture
def copy(invented, tmp_path) -> Path:
    """A copy of the invented data, which the test damages."""
    shutil.copytree(invented / "movielens" / NAME, tmp_path / "movielens" / NAME)
    (folder,) = (tmp_path / "movielens" / NAME).iterdir()
    return folder


def find_shard(folder: Path) -> Path:
    (shard,) = folder.glob("*.tfrecord*")
    return shard


def read_error(data_dir: Path, name: str = NAME) -> str:
    with pytest.raises(UserError) as raised:
        read_ratings(name, str(data_dir))
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["100k-ratings", NAME])
def test_ratings_are_sorted_by_time_then_user_then_movie_as_numbers(invented, name):
    ratings = read_ratings(name, str(invented))
    assert len(ratings.time) == len(ratings.user) == len(ratings.movie) == len(ratings.stars) == 200
    user = ratings.users["user_id"][ratings.user].astype(int)
    movie = ratings.movies["movie_id"][ratings.movie].astype(int)
    keys = list(zip(ratings.time.tolist(), user.tolist(), movie.tolist(), strict=True))
    assert keys == sorted(set(keys))
    # The invented ratings have ties in time, and ids whose order as numbers differs from their order as text.
    assert len(set(ratings.time.tolist())) < 50
    assert user.max() > 9


def test_genres_are_padded_with_a_number_that_is_no_genre(invented):
    movies = read_ratings(NAME, str(invented)).movies
    expected = {0: [DRAMA, ACTION], 1: [ACTION], 2: [COMEDY], 3: [WESTERN, ACTION, DRAMA]}
    assert movies["movie_genres"].shape[1] == 3
    for movie_id, genres in zip(movies["movie_id"].astype(int), movies["movie_genres"].tolist(), strict=True):
        assert [genre for genre in genres if genre >= 0] == expected[movie_id % 4]
        assert set(genres[len(expected[movie_id % 4]) :]) <= {-1}


def test_titles_and_half_stars_are_read(invented):
    ratings = read_ratings(NAME, str(invented))
    for movie_id, title in zip(ratings.movies["movie_id"], ratings.movies["movie_title"], strict=True):
        assert title == b"Film, The %d (%d)" % (int(movie_id), 1950 + int(movie_id))
    assert set(np.unique(ratings.stars)) == {0.5, 1.5, 2.5, 3.5, 4.5}


def test_demographics_are_read_if_the_set_has_them(invented):
    users = read_ratings("100k-ratings", str(invented)).users
    assert set(users) == {"user_id", *USER_ATTRIBUTES}
    ids = users["user_id"].astype(int)
    np.testing.assert_array_equal(users["raw_user_age"], 15 + 4 * ids)
    np.testing.assert_array_equal(users["user_gender"], ids % 2)
    assert set(read_ratings(NAME, str(invented)).users) == {"user_id"}


def test_reading_prints_nothing(invented, capfd):
    read_ratings(NAME, str(invented))
    assert capfd.readouterr() == ("", "")


def test_an_unknown_name_is_refused_with_a_suggestion_and_the_list(tmp_path):
    with pytest.raises(ConfigError, match="got '100k'; did you mean '100k-ratings'") as raised:
        read_ratings("100k", str(tmp_path))
    assert "1m-ratings, 20m-ratings, 25m-ratings, latest-small-ratings" in str(raised.value)
    # A set of movies without ratings is not a log.
    with pytest.raises(ConfigError, match=r"data\.movielens.name must be one of"):
        read_ratings("100k-movies", str(tmp_path))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.movielens.data_dir must be a folder") as raised:
        read_ratings(NAME, str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in str(raised.value)
    assert not (tmp_path / "nowhere").exists()


def test_without_network_the_message_says_what_to_run_on_another_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    message = read_error(tmp_path)
    assert str(tmp_path / "movielens" / NAME) in message
    assert (
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip cannot be reached from this machine"
        in message
    )
    assert "tfds.builder('movielens/latest-small-ratings', data_dir='DIR').download_and_prepare()" in message
    assert "--config.data.movielens.data_dir=DIR" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("file", "reason"), [("not_there.zip", "status 404"), ("broken.zip", "ExtractError")])
def test_a_failed_download_leaves_no_files(served, point_to, tmp_path, monkeypatch, file, reason):
    (served[0] / "broken.zip").write_bytes(b"no archive")
    point_to(monkeypatch, NAME, f"{served[1]}/{file}")
    assert reason in read_error(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_leaves_only_the_prepared_data(invented):
    assert [path.name for path in invented.iterdir()] == ["movielens"]
    assert sorted(path.name for path in (invented / "movielens").iterdir()) == ["100k-ratings", NAME]


def test_a_truncated_shard_is_reported(copy, tmp_path):
    shard = find_shard(copy)
    os.truncate(shard, shard.stat().st_size // 2 + 40)
    message = read_error(tmp_path)
    assert f"expected 200 ratings in '{shard}', got DataLossError: truncated record" in message
    assert "remove that folder, then on a machine with network access, run python -c" in message


def test_a_shard_that_ends_between_two_ratings_is_reported(copy, tmp_path):
    shard = find_shard(copy)
    content = shard.read_bytes()
    # TensorFlow does not notice. A record is 8 bytes of length, 4 of checksum, the content, and 4 of checksum.
    first = 16 + int.from_bytes(content[:8], "little")
    shard.write_bytes(content[:first])
    assert f"expected 200 ratings in '{shard}', got 1;" in read_error(tmp_path)


def test_a_missing_shard_is_reported(copy, tmp_path):
    shard = find_shard(copy)
    shard.unlink()
    assert f"expected 200 ratings in '{shard}', no such file" in read_error(tmp_path)


def test_a_missing_description_is_reported(copy, tmp_path):
    (copy / "dataset_info.json").unlink()
    message = read_error(tmp_path)
    assert str(copy) in message
    assert "its description cannot be read" in message


def test_a_read_only_folder_can_be_read(copy, tmp_path):
    for path in (copy, *copy.iterdir()):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    assert len(read_ratings(NAME, str(tmp_path)).time) == 200
    copy.chmod(copy.stat().st_mode | stat.S_IWUSR)


def test_the_real_100k_ratings_have_the_published_statistics(movielens_dir):
    ratings = read_ratings("100k-ratings", str(movielens_dir))
    assert len(ratings.time) == 100_000
    assert (len(ratings.users["user_id"]), len(ratings.movies["movie_id"])) == (943, 1682)
    assert ratings.stars.mean(dtype=float) == pytest.approx(3.52986)
    assert (ratings.stars >= 4).mean() == pytest.approx(0.55375)
    assert ratings.classes == {"movie_genres": 21, "user_occupation_label": 22}
    rated_twice = len(ratings.time) - len(set(zip(ratings.user.tolist(), ratings.movie.tolist(), strict=True)))
    assert rated_twice == 0

"""Finds, downloads and reads MovieLens with TensorFlow Datasets (TFDS).

TFDS downloads and prepares the data and describes its features. This module parses the prepared records itself, in
batches: ``builder.as_dataset`` parses them one by one, which takes ten times as long, and pads genres with 0, which is
a genre.

Creating a TFDS builder from a name can query a bucket, with minutes of retries if there is no network. The TFDS
versions that steadyrank allows query the bucket only if a program enables it. As a second precaution, this module
creates a builder only after it has found the data or reached the network.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from ...config.errors import ConfigError, UserError
from ..tfds.folder import (
    format_prepare_command,
    list_shards,
    load_builder,
    resolve_data_dir,
    silence_tfds,
    summarize_error,
)
from .features import Ratings

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

USER_ATTRIBUTES = ("user_gender", "user_occupation_label", "bucketized_user_age", "raw_user_age", "user_zip_code")

_RATING_ATTRIBUTES = ("timestamp", "user_id", "movie_id", "user_rating")
_MOVIE_ATTRIBUTES = ("movie_title", "movie_genres")
_PARSE_BATCH_ROWS = 65_536
_CONNECT_SECONDS, _RESPONSE_SECONDS = 5, 10


def read_ratings(name: str, data_dir: str = "") -> Ratings:
    """Reads one set of ratings. Downloads and prepares it first if necessary.

    Args:
      name: A configuration of TFDS's ``movielens`` whose name ends in ``-ratings``.
      data_dir: The folder that holds TFDS's ``movielens`` folder. Empty: TFDS's default.

    Returns:
      The ratings, sorted by time, then user, then movie. The users have the attributes that this set has.

    Raises:
      ConfigError: If the set of ratings or the folder does not exist.
      UserError: If the data is missing and cannot be downloaded, or if it is damaged. A failed download leaves no files
        behind.
    """
    # Imported here because most runs do not read MovieLens, and the import takes seconds.
    import tensorflow_datasets as tfds

    folder = _find_prepared(tfds, name, data_dir)
    try:
        builder = load_builder(folder)
        shards = list_shards(builder, "train")
    except Exception as error:  # TFDS and its parts raise many kinds of errors on damaged files.
        raise _damaged_error(name, folder, f"its description cannot be read ({summarize_error(error)})") from error
    return _read_ratings(name, folder, builder, shards)


def _find_prepared(tfds: Any, name: str, data_dir: str) -> tfds.core.Path:
    """Returns the folder of the prepared data, and downloads the data if the folder does not exist."""
    configs = tfds.builder_cls("movielens").builder_configs
    names = sorted(config for config in configs if config.endswith("-ratings"))
    if name not in names:
        similar = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        hint = f"; did you mean '{similar[0]}'?" if similar else ""
        raise ConfigError(f"data.movielens.name must be one of {', '.join(names)}, got '{name}'{hint}")
    root = resolve_data_dir(data_dir)
    if data_dir and not root.is_dir():
        raise ConfigError(
            f"data.movielens.data_dir must be a folder that holds TFDS's folder 'movielens', got '{data_dir}', which is "
            f"not a folder; {_preparation_hint(name)}"
        )
    folder = root / "movielens" / name / str(configs[name].version)
    if not folder.exists():
        _download(tfds, name, configs[name].download_url, folder)
    return folder


def _download(tfds: Any, name: str, url: str, folder: tfds.core.Path) -> None:
    """Prepares the data in a temporary folder and renames that folder, so that no incomplete data appears."""
    import requests

    root = folder.parents[2]
    if "://" in os.fspath(root):
        raise _missing_error(name, folder, "a download needs a local folder")
    try:
        # Checked once before TFDS starts, because TFDS retries an address that does not answer ten times.
        requests.head(url, timeout=(_CONNECT_SECONDS, _RESPONSE_SECONDS), allow_redirects=True).raise_for_status()
    except requests.RequestException as error:
        answer = type(error).__name__ if error.response is None else f"status {error.response.status_code}"
        raise _missing_error(name, folder, f"{url} cannot be reached from this machine ({answer})") from error
    logging.info("Downloading and preparing MovieLens '%s' in '%s'", name, folder)
    # The bars stay off for the rest of the program, because TFDS does not reveal whether they were on.
    tfds.disable_progress_bar()
    try:
        os.makedirs(root, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".movielens_", dir=root) as scratch, silence_tfds():
            builder = tfds.builder(f"movielens/{name}", data_dir=scratch)
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
            os.makedirs(folder.parent, exist_ok=True)
            os.rename(builder.data_path, folder)
    except Exception as error:  # TFDS passes on the errors of requests, zipfile and the file system.
        if folder.exists():  # Another process finished first.
            return
        raise _missing_error(name, folder, f"preparing it from {url} failed ({summarize_error(error)})") from error


def _read_ratings(
    name: str, folder: tfds.core.Path, builder: tfds.core.DatasetBuilder, shards: list[tuple[str, int]]
) -> Ratings:
    import tensorflow as tf

    features = builder.info.features
    classes = {key: features[key].num_classes for key in ("user_occupation_label",) if key in features}
    classes["movie_genres"] = features["movie_genres"].feature.num_classes
    user_attributes = [key for key in USER_ATTRIBUTES if key in features]
    spec = {key: features.tf_example_spec[key] for key in (*_RATING_ATTRIBUTES, *_MOVIE_ATTRIBUTES, *user_attributes)}
    spec["movie_genres"] = tf.io.RaggedFeature(tf.int64)

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = tf.io.parse_example(records, spec)
        columns["movie_genres"] = columns["movie_genres"].to_tensor(-1, shape=(None, classes["movie_genres"]))
        return columns

    users, movies = _IdTable(), _IdTable()
    parts = []
    for path, rows in shards:
        records = tf.data.TFRecordDataset(path).batch(_PARSE_BATCH_ROWS).map(parse).prefetch(1)
        count = 0
        try:
            for columns in records.as_numpy_iterator():
                count += len(columns["timestamp"])
                user = users.number(columns["user_id"], {key: columns[key] for key in user_attributes})
                movie = movies.number(columns["movie_id"], {key: columns[key] for key in _MOVIE_ATTRIBUTES})
                parts.append((columns["timestamp"], user, movie, columns["user_rating"]))
        except (tf.errors.OpError, OSError) as error:
            problem = "no such file" if not tf.io.gfile.exists(path) else f"got {summarize_error(error)}"
            raise _damaged_error(name, folder, f"expected {rows} ratings in '{path}', {problem}") from error
        if count != rows:
            raise _damaged_error(name, folder, f"expected {rows} ratings in '{path}', got {count}")
    time, user, movie, stars = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Ids are numbers written as text. Sorting by length and then as text gives the order of the numbers.
    by_id = (movies.ranks()[movie], users.ranks()[user])
    order = np.lexsort((*by_id, time))
    user_table, movie_table = users.attributes("user_id"), movies.attributes("movie_id")
    max_genres = max(int((movie_table["movie_genres"] >= 0).sum(1).max()), 1)
    movie_table["movie_genres"] = movie_table["movie_genres"][:, :max_genres]
    return Ratings(time[order], user[order], movie[order], stars[order], user_table, movie_table, classes)


class _IdTable:
    """Numbers ids in order of appearance and stores the attributes from each id's first row."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._attributes: list[dict[str, np.ndarray]] = []

    def number(self, ids: np.ndarray, attributes: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the number of each id, and stores the attributes of new ids."""
        distinct, first, inverse = np.unique(ids.astype(bytes), return_index=True, return_inverse=True)
        keys = distinct.tolist()
        new = first[[i for i, key in enumerate(keys) if key not in self._numbers]]
        self._attributes.append({name: values[new] for name, values in attributes.items()})
        return np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int32)[inverse]

    def ranks(self) -> np.ndarray:
        """Returns the rank of each id among the sorted ids, in order of the ids' numbers."""
        ids = np.array(list(self._numbers))
        ranks = np.empty(len(ids), np.int32)
        ranks[np.lexsort((ids, np.char.str_len(ids)))] = np.arange(len(ids))
        return ranks

    def attributes(self, id_name: str) -> dict[str, np.ndarray]:
        """Returns the attributes of all ids, in order of the ids' numbers. Strings are fixed-width bytes."""
        table = {id_name: np.array(list(self._numbers))}
        for name in self._attributes[0]:
            values = np.concatenate([part[name] for part in self._attributes])
            table[name] = values.astype(bytes) if values.dtype == object else values
        return table


def _missing_error(name: str, folder: tfds.core.Path, reason: str) -> UserError:
    return UserError(f"MovieLens '{name}' is not prepared in '{folder}', and {reason}; {_preparation_hint(name)}")


def _damaged_error(name: str, folder: tfds.core.Path, problem: str) -> UserError:
    return UserError(
        f"MovieLens '{name}' in '{folder}' is damaged: {problem}; remove that folder, then {_preparation_hint(name)}"
    )


def _preparation_hint(name: str) -> str:
    return (
        f"on a machine with network access, run {format_prepare_command(f'movielens/{name}', 'DIR')}, copy DIR to this machine and pass "
        "--config.data.movielens.data_dir=DIR"
    )

"""MovieLens through TensorFlow Datasets: finding it, downloading it, reading it in columns.

TFDS finds, downloads and prepares the data and knows its features; the prepared records are parsed here, in batches.
``builder.as_dataset`` parses them one by one, ten times slower, and pads genres with 0, which is a genre.

TFDS can look a dataset up in a bucket when its builder is made, with minutes of retries where there is no network. Off
in the versions that steadyrank allows, unless a program turns it on; and no builder is made here before either the data
is found or the network is.
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

_RATING = ("timestamp", "user_id", "movie_id", "user_rating")
_MOVIE_ATTRIBUTES = ("movie_title", "movie_genres")
_ROWS_AT_ONCE = 65_536
_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 10


def read_ratings(name: str, data_dir: str = "") -> Ratings:
    """Reads one set of ratings, downloading and preparing it first where it is not there.

    Args:
      name: One of TFDS's ``movielens`` configurations that end in ``-ratings``.
      data_dir: The folder that holds TFDS's ``movielens`` folder. Empty: TFDS's own default.

    Returns:
      The ratings by time, then user, then film; of the attributes of users those that this set has.

    Raises:
      ConfigError: When there are no such ratings or no such folder.
      UserError: When the data is neither there nor can be downloaded, or is damaged. A download that fails leaves
        nothing behind.
    """
    # Not at the top: most runs read no MovieLens, and the import takes its time.
    import tensorflow_datasets as tfds

    folder = _prepared(tfds, name, data_dir)
    try:
        builder = load_builder(folder)
        shards = list_shards(builder, "train")
    except Exception as error:  # Whatever TFDS and its parts raise on files that are not what they wrote.
        raise _damaged(name, folder, f"its description cannot be read ({summarize_error(error)})") from error
    return _read(name, folder, builder, shards)


def _prepared(tfds: Any, name: str, data_dir: str) -> tfds.core.Path:
    """The folder of the prepared data, after a download where there is none."""
    configs = tfds.builder_cls("movielens").builder_configs
    names = sorted(config for config in configs if config.endswith("-ratings"))
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"data.movielens.name must be one of {', '.join(names)}, got '{name}'{meant}")
    root = resolve_data_dir(data_dir)
    if data_dir and not root.is_dir():
        raise ConfigError(
            f"data.movielens.data_dir must be a folder that holds TFDS's folder 'movielens', got '{data_dir}', which is "
            f"no folder; {_how_to_prepare(name)}"
        )
    folder = root / "movielens" / name / str(configs[name].version)
    if not folder.exists():
        _download(tfds, name, configs[name].download_url, folder)
    return folder


def _download(tfds: Any, name: str, url: str, folder: tfds.core.Path) -> None:
    """Prepares the data beside its place and moves it there as a whole."""
    import requests

    root = folder.parents[2]
    if "://" in os.fspath(root):
        raise _not_there(name, folder, "a download needs a folder of this machine")
    try:
        # Asked first and once: TFDS itself tries an address that does not answer ten times over.
        requests.head(url, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS), allow_redirects=True).raise_for_status()
    except requests.RequestException as error:
        answer = type(error).__name__ if error.response is None else f"status {error.response.status_code}"
        raise _not_there(name, folder, f"{url} cannot be reached from here ({answer})") from error
    logging.info("downloading and preparing MovieLens '%s' into '%s'", name, folder)
    # For the rest of the program: TFDS does not say whether its progress bars were on.
    tfds.disable_progress_bar()
    try:
        os.makedirs(root, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".movielens_", dir=root) as scratch, silence_tfds():
            builder = tfds.builder(f"movielens/{name}", data_dir=scratch)
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
            os.makedirs(folder.parent, exist_ok=True)
            os.rename(builder.data_path, folder)
    except Exception as error:  # TFDS lets through what its parts raise: requests, zipfile, the file system.
        if folder.exists():  # Another process was faster.
            return
        raise _not_there(name, folder, f"preparing it from {url} failed ({summarize_error(error)})") from error


def _read(
    name: str, folder: tfds.core.Path, builder: tfds.core.DatasetBuilder, shards: list[tuple[str, int]]
) -> Ratings:
    import tensorflow as tf

    features = builder.info.features
    classes = {key: features[key].num_classes for key in ("user_occupation_label",) if key in features}
    classes["movie_genres"] = features["movie_genres"].feature.num_classes
    user_attributes = [key for key in USER_ATTRIBUTES if key in features]
    spec = {key: features.tf_example_spec[key] for key in (*_RATING, *_MOVIE_ATTRIBUTES, *user_attributes)}
    spec["movie_genres"] = tf.io.RaggedFeature(tf.int64)

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = tf.io.parse_example(records, spec)
        columns["movie_genres"] = columns["movie_genres"].to_tensor(-1, shape=(None, classes["movie_genres"]))
        return columns

    users, movies = _Numbering(), _Numbering()
    parts = []
    for path, rows in shards:
        records = tf.data.TFRecordDataset(path).batch(_ROWS_AT_ONCE).map(parse).prefetch(1)
        came = 0
        try:
            for columns in records.as_numpy_iterator():
                came += len(columns["timestamp"])
                user = users.places(columns["user_id"], {key: columns[key] for key in user_attributes})
                movie = movies.places(columns["movie_id"], {key: columns[key] for key in _MOVIE_ATTRIBUTES})
                parts.append((columns["timestamp"], user, movie, columns["user_rating"]))
        except (tf.errors.OpError, OSError) as error:
            came_instead = "no such file" if not tf.io.gfile.exists(path) else f"got {summarize_error(error)}"
            raise _damaged(name, folder, f"expected {rows} ratings in '{path}', {came_instead}") from error
        if came != rows:
            raise _damaged(name, folder, f"expected {rows} ratings in '{path}', got {came}")
    time, user, movie, stars = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Ids are numbers in letters: the shorter first, then by letter, is their order as numbers.
    by_id = (movies.ranks()[movie], users.ranks()[user])
    order = np.lexsort((*by_id, time))
    user_table, movie_table = users.attributes("user_id"), movies.attributes("movie_id")
    most_genres = max(int((movie_table["movie_genres"] >= 0).sum(1).max()), 1)
    movie_table["movie_genres"] = movie_table["movie_genres"][:, :most_genres]
    return Ratings(time[order], user[order], movie[order], stars[order], user_table, movie_table, classes)


class _Numbering:
    """Numbers ids as they come and keeps the attributes of each id's first row."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._attributes: list[dict[str, np.ndarray]] = []

    def places(self, ids: np.ndarray, attributes: dict[str, np.ndarray]) -> np.ndarray:
        distinct, first, inverse = np.unique(ids.astype(bytes), return_index=True, return_inverse=True)
        keys = distinct.tolist()
        new = first[[i for i, key in enumerate(keys) if key not in self._places]]
        self._attributes.append({name: values[new] for name, values in attributes.items()})
        return np.array([self._places.setdefault(key, len(self._places)) for key in keys], np.int32)[inverse]

    def ranks(self) -> np.ndarray:
        """The place of each id, by its number, among the sorted ids."""
        ids = np.array(list(self._places))
        ranks = np.empty(len(ids), np.int32)
        ranks[np.lexsort((ids, np.char.str_len(ids)))] = np.arange(len(ids))
        return ranks

    def attributes(self, id_name: str) -> dict[str, np.ndarray]:
        """The attributes of all ids, in the order of their numbers, strings as fixed-width bytes."""
        table = {id_name: np.array(list(self._places))}
        for name in self._attributes[0]:
            values = np.concatenate([part[name] for part in self._attributes])
            table[name] = values.astype(bytes) if values.dtype == object else values
        return table


def _not_there(name: str, folder: tfds.core.Path, why: str) -> UserError:
    return UserError(
        f"expected MovieLens '{name}' prepared in '{folder}', found no such folder, and {why}; {_how_to_prepare(name)}"
    )


def _damaged(name: str, folder: tfds.core.Path, what: str) -> UserError:
    return UserError(
        f"MovieLens '{name}' in '{folder}' is damaged: {what}; remove that folder, then {_how_to_prepare(name)}"
    )


def _how_to_prepare(name: str) -> str:
    return (
        f"on a machine with network run {format_prepare_command(f'movielens/{name}', 'DIR')}, copy DIR here and pass "
        "--config.data.movielens.data_dir=DIR"
    )

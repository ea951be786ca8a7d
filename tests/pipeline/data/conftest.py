"""Fixtures: the file of a schema, and invented ratings in GroupLens's format, served locally for TFDS to prepare."""

from __future__ import annotations

import functools
import http.server
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from steadyrank.pipeline.data.movielens.ratings import read_ratings

USERS, MOVIES, RATINGS = 12, 25, 200
GENRES = ("Drama|Action", "Action", "Comedy", "Western|Action|Drama")
ARCHIVES = {"100k-ratings": "ml-100k", "latest-small-ratings": "ml-latest-small"}


@pytest.fixture
def schema_file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The YAML file of the schema that the test module defines as ``SCHEMA``."""
    path = tmp_path / "schema.yaml"
    path.write_text(request.module.SCHEMA)
    return str(path)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which its files can be downloaded."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(_QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def point_to() -> Callable[[pytest.MonkeyPatch, str, str], None]:
    """A function that makes TFDS download one set of ratings from another address."""
    import tensorflow_datasets as tfds

    def point(patch: pytest.MonkeyPatch, name: str, url: str) -> None:
        patch.setattr(tfds.builder_cls("movielens").builder_configs[name], "_download_url", url)
        patch.setenv("NO_PROXY", "127.0.0.1")

    return point


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory, served: tuple[Path, str], point_to: Callable) -> Path:
    """A TFDS folder of invented ratings: ``100k-ratings`` with demographics, ``latest-small-ratings`` without."""
    data_dir = tmp_path_factory.mktemp("tfds")
    files = {"100k-ratings": _make_100k_files(), "latest-small-ratings": _make_latest_small_files()}
    for name, archive in ARCHIVES.items():
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive_file:
            for file, text in files[name].items():
                archive_file.writestr(f"{archive}/{file}", text)
        (served[0] / f"{archive}.zip").write_bytes(content.getvalue())
        with pytest.MonkeyPatch.context() as patch:
            point_to(patch, name, f"{served[1]}/{archive}.zip")
            read_ratings(name, str(data_dir))
    return data_dir


def _make_ratings() -> list[tuple[int, int, int, int]]:
    """Makes (user, movie, stars, time), with bursts of equal times and ids whose order as text differs from their numeric order."""
    rng = np.random.default_rng(0)
    pairs = rng.permutation(USERS * MOVIES)[:RATINGS]
    times = 881_250_000 + 3600 * (np.arange(RATINGS) // 7)
    return [(pair // MOVIES + 1, pair % MOVIES + 1, rng.integers(1, 6), times[i]) for i, pair in enumerate(pairs)]


def _make_latest_small_files() -> dict[str, str]:
    movies = [f'{i},"Film, The {i} ({1950 + i})",{GENRES[i % 4]}' for i in range(1, MOVIES + 1)]
    ratings = [f"{user},{movie},{stars - 0.5},{time}" for user, movie, stars, time in _make_ratings()]
    return {
        "movies.csv": "\n".join(["movieId,title,genres", *movies]),
        "ratings.csv": "\n".join(["userId,movieId,rating,timestamp", *ratings]),
    }


def _make_100k_files() -> dict[str, str]:
    flags = ["0|" + "|".join("1" if i % 18 == j else "0" for j in range(18)) for i in range(1, MOVIES + 1)]
    return {
        "u.item": "\n".join(f"{i}|Film {i} ({1950 + i})|||address|{flags[i - 1]}" for i in range(1, MOVIES + 1)),
        "u.user": "\n".join(f"{i}|{15 + 4 * i}|{'FM'[i % 2]}|artist|{i % 10}5213" for i in range(1, USERS + 1)),
        "u.data": "\n".join("\t".join(map(str, rating)) for rating in _make_ratings()),
    }


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

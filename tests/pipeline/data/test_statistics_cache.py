"""The cache of statistics: its entries, its misses, and recovery from a damaged cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data import Source, statistics_cache
from steadyrank.pipeline.data.feature_statistics import compute_statistics


class Words(Source):
    """A source with a fingerprint that counts how often its blocks are read."""

    schema = Schema(
        (
            Feature("price", "numerical"),
            Feature("word", "categorical", dtype="string", vocabulary_size=2),
            Feature("color", "categorical", dtype="string", vocabulary=("red", "blue")),
        ),
        (Task("click", "binary"),),
    )
    days = ("first", "second")

    def __init__(self, content: str = "a"):
        self.content, self.reads = content, 0

    def fingerprint(self, days):
        return [self.content, list(days)]

    def block_rows(self, day):
        return [4]

    def block(self, day, index):
        self.reads += 1
        return {
            "price": np.array([1, 3, 5, 7], np.float32),
            "word": np.array([b"x", b"y", b"y", b"z"]),
            "color": np.array([b"red"] * 4),
            "click": np.array([0, 0, 0, 1], np.float32),
        }


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "steadyrank"


def assert_equal(one, other):
    assert one.schema == other.schema
    assert one.statistics.label_mean == other.statistics.label_mean
    for kind in ("mean", "deviation"):
        for name, values in getattr(one.statistics, kind).items():
            np.testing.assert_array_equal(getattr(other.statistics, kind)[name], values)
            assert getattr(other.statistics, kind)[name].dtype == np.float32


def test_the_second_run_reads_the_cache_and_not_the_log(cache_folder):
    first = compute_statistics(Words(), rows=0)
    source = Words()
    assert_equal(compute_statistics(source, rows=0), first)
    assert source.reads == 0
    assert [path.suffix for path in cache_folder.iterdir()] == [".json"]


def test_other_content_days_or_schemas_have_other_files():
    class Renamed(Words):
        schema = Schema((Feature("price", "numerical", normalization="log"),), Words.schema.tasks)

    paths = {
        statistics_cache.find_path(Words(), [0]),
        statistics_cache.find_path(Words(), [1]),
        statistics_cache.find_path(Words("b"), [0]),
        statistics_cache.find_path(Renamed(), [0]),
    }
    assert len(paths) == 4
    assert statistics_cache.find_path(Words(), [0]) in paths


def test_a_source_without_a_fingerprint_is_not_cached(cache_folder):
    class Unknown(Words):
        def fingerprint(self, days):
            return None

    compute_statistics(Unknown(), rows=0)
    assert statistics_cache.find_path(Unknown(), [0]) is None
    assert not cache_folder.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"mean": {"price": [1]}, "deviation": 3})])
def test_a_damaged_file_is_computed_again(content):
    first = compute_statistics(Words(), rows=0)
    path = statistics_cache.find_path(Words(), [0])
    path.write_text(content)
    source = Words()
    assert_equal(compute_statistics(source, rows=0), first)
    assert source.reads == 1
    assert statistics_cache.read(path) is not None


def test_a_cache_that_cannot_be_written_is_no_error(cache_folder):
    cache_folder.write_text("a file where the folder should be")
    assert compute_statistics(Words(), rows=0).statistics.label_mean == {"click": 0.25}

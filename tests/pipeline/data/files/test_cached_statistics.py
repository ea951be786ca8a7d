"""Statistics of a log of files are cached until a file changes."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.feature_statistics import compute_statistics
from tests.pipeline.data.files.parquet_log import make_table


class TestCache:
    def test_statistics_of_all_rows_are_cached_until_a_file_changes(self, log, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        source = log({"a.parquet": make_table(50)}, periods=5)
        first = compute_statistics(source, 0, days=range(4))
        [cached] = (tmp_path / "cache" / "steadyrank").iterdir()
        read = []
        monkeypatch.setattr(source, "block", lambda *place: read.append(place))
        again = compute_statistics(source, 0, days=range(4))
        assert not read
        assert again.schema == first.schema
        for kind in ("mean", "deviation"):
            for name, value in getattr(first.statistics, kind).items():
                np.testing.assert_array_equal(getattr(again.statistics, kind)[name], value)
        assert again.statistics.label_mean == first.statistics.label_mean
        cached.write_text(cached.read_text()[:-10])
        changed = log({"a.parquet": make_table(50)}, periods=5)
        assert compute_statistics(changed, 0, days=range(4)).statistics.label_mean == first.statistics.label_mean
        log({"a.parquet": make_table(50, 7)}, periods=5)
        other = compute_statistics(log({}, periods=5), 0, days=range(4))
        assert other.statistics.mean["price"] != first.statistics.mean["price"]

    def test_an_unwritable_cache_is_ignored(self, log, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert (
            compute_statistics(log({"a.parquet": make_table(50)}, periods=5), 0).statistics.label_mean["click"] == 0.5
        )

    def test_statistics_merged_from_blocks_equal_those_of_all_rows(self, log):
        source = log({"a.parquet": make_table(64)}, periods=1)
        price = np.arange(64) * 0.5
        statistics = compute_statistics(source, 40).statistics
        assert statistics.mean["price"] == pytest.approx(price[:40].mean())
        assert statistics.deviation["price"] == pytest.approx(price[:40].std())

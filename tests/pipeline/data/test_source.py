"""The required members of a source, and the defaults of the others."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data import RowFaultCounts, RowFaults, Source


class Minimal(Source):
    """A source with only the required members."""

    schema = Schema((Feature("x", "numerical"),), (Task("click", "binary"),))
    days = ("first", "second")

    def block_rows(self, day):
        return [2, 3]

    def block(self, day, index):
        rows = self.block_rows(day)[index]
        return {"x": np.arange(rows, dtype=np.float32), "click": np.zeros(rows, np.float32)}


def test_a_source_without_its_required_members_cannot_be_created():
    class WithoutBlocks(Source):
        days = ("first",)

    with pytest.raises(TypeError, match=r"block.*block_rows|block_rows.*block"):
        WithoutBlocks()


def test_a_minimal_source_has_no_faults_and_nothing_to_check(tmp_path):
    source = Minimal()
    columns, faults = source.read_block(0, 1)
    assert columns["x"].tolist() == [0, 1, 2]
    assert faults is None
    source.record_faults(RowFaults(0, 0, 0, []))
    source.open_quarantine(tmp_path / "quarantine.jsonl")
    assert list(tmp_path.iterdir()) == []
    assert source.row_faults == RowFaultCounts(0, {}, {})
    assert source.check_days() == []
    assert source.expected(0, 0) is None
    assert source.fingerprint([0]) is None
    assert list(source.storage_chunks(0)) == [0, 1]


def test_a_source_refuses_to_exclude_days_unless_it_implements_it():
    Minimal().exclude_days([])
    with pytest.raises(NotImplementedError, match=r"Minimal cannot exclude days, got \['first'\]"):
        Minimal().exclude_days({"first"})

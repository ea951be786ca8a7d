from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.checks.checkable_log import RowGroup
from steadyrank.pipeline.data.checks.repeated_rows import DuplicateGroups, hash_rows, repeated_share
from steadyrank.pipeline.data.columns import DictionaryColumn


def make_block(ids: list[int], bags: list[list[float]], words: list[int]) -> dict:
    column = DictionaryColumn(np.array([b"a", b"b", b""], object), np.array(words, np.int32))
    return {"ids": np.array(ids), "bags": np.array(bags, np.float32), "words": column}


def test_equal_rows_have_equal_hashes():
    hashes = hash_rows(make_block([1, 1, 1, 1, 2], [[1, 2], [1, 2], [2, 1], [1, 2], [1, 2]], [0, 0, 0, 1, 0]))
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 4


def test_missing_numbers_are_equal_to_each_other():
    hashes = hash_rows({"x": np.array([np.nan, np.nan, 0.0], np.float32)})
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_repeated_share_counts_all_but_the_first_of_equal_rows_over_all_blocks():
    blocks = [{"x": np.array([1, 2, 2])}, {"x": np.array([1, 3])}]
    assert repeated_share(blocks) == pytest.approx(2 / 5)


class GroupLog:
    """A log of row groups, some with equal signatures and other rows."""

    def __init__(self, groups: dict[str, tuple[str, list[int]]]):
        self._groups = groups
        self.read_count = 0

    def row_groups(self, day: int):
        for file, (signature, values) in self._groups.items():
            yield RowGroup(file, 0, len(values), signature)

    def read_group(self, file: str, index: int):
        self.read_count += 1
        return {"x": np.array(self._groups[file][1])}

    def relative_name(self, file: str) -> str:
        return file


def find_duplicates(log: GroupLog) -> list[str]:
    groups = DuplicateGroups(log)
    return [anomaly.text for anomaly in groups.confirm(groups.add_day(0))]


ROWS, OTHER_ROWS = list(range(100)), list(range(100, 200))


def test_groups_with_equal_rows_are_reported():
    log = GroupLog({"a": ("s", ROWS), "b": ("s", ROWS), "c": ("t", OTHER_ROWS)})
    assert find_duplicates(log) == ["100 rows occur twice in the log: row group 0 of b repeats row group 0 of a"]


def test_groups_with_an_equal_signature_alone_are_not():
    assert find_duplicates(GroupLog({"a": ("s", ROWS), "b": ("s", OTHER_ROWS)})) == []


def test_only_the_groups_whose_rows_are_equal_count():
    log = GroupLog({"a": ("s", ROWS), "b": ("s", OTHER_ROWS), "c": ("s", ROWS)})
    assert find_duplicates(log) == ["100 rows occur twice in the log: row group 0 of c repeats row group 0 of a"]


def test_many_candidates_are_not_all_read():
    log = GroupLog({f"file-{i}": ("s", ROWS) for i in range(20)})
    assert find_duplicates(log)[0].startswith("1,900 rows occur twice in the log: ")
    assert log.read_count == 8


def test_small_groups_may_be_equal_by_chance():
    log = GroupLog({"a": ("s", ROWS[:50]), "b": ("s", ROWS[:50])})
    assert find_duplicates(log) == []
    assert log.read_count == 0

from __future__ import annotations

import json

import numpy as np
import pytest

from steadyrank.pipeline.data.files.arrow_columns import FaultMasks
from steadyrank.pipeline.data.files.blocks import Block
from steadyrank.pipeline.data.files.quarantine import MAX_ROWS_WITH_VALUES, Quarantine, make_records, to_plain_value


def make_row(row: int, **more) -> dict:
    return {"file": "a.parquet", "row": row, "reasons": ["age: not finite"], **more}


def test_each_row_is_written_once(tmp_path):
    path = tmp_path / "new" / "quarantine.jsonl"
    quarantine = Quarantine(path)
    assert quarantine.add([make_row(3), make_row(5)]) == [make_row(3), make_row(5)]
    assert quarantine.add([make_row(5), make_row(7)]) == [make_row(7)]
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [3, 5, 7]


def test_rows_of_a_file_that_moved_are_not_written_again(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    Quarantine(path).add([make_row(3), make_row(5)])
    moved = {"a.parquet": "new/a.parquet"}
    quarantine = Quarantine(path, moved.__getitem__)
    assert quarantine.add([{**make_row(5), "file": "new/a.parquet"}]) == []
    assert len(quarantine.add([{**make_row(5), "file": "b.parquet"}])) == 1


def test_no_file_is_made_without_a_row(tmp_path):
    Quarantine(tmp_path / "quarantine.jsonl").add([])
    assert not list(tmp_path.iterdir())


def test_an_incomplete_last_line_is_removed(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    Quarantine(path).add([make_row(3), make_row(5)])
    path.write_bytes(path.read_bytes()[:-4])
    quarantine = Quarantine(path)
    assert quarantine.recorded_rows == [make_row(3)]
    assert quarantine.add([make_row(3), make_row(5)]) == [make_row(5)]
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [3, 5]


def test_only_the_first_rows_are_written_with_their_values(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    Quarantine(path).add([make_row(i, values={"age": "nan"}) for i in range(MAX_ROWS_WITH_VALUES + 2)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["values" in line for line in lines] == [True] * MAX_ROWS_WITH_VALUES + [False] * 2


def test_records_name_the_row_in_its_file():
    block = Block("a.parquet", group=1, first=10, rows=3, group_start=100)
    masks = FaultMasks(
        faulty={"age: not finite": np.array([True, False, False])},
        clamped={"price: out of range": np.array([True, False, True])},
    )
    columns = {"age": np.array([np.nan, 1.0, 2.0]), "price": np.array([5.0, 4.0, 5.0])}
    assert make_records(block, columns, masks, np.array([True, False, False])) == [
        {"file": "a.parquet", "row": 110, "reasons": ["age: not finite"], "values": {"age": "nan", "price": 5.0}},
        {
            "file": "a.parquet",
            "row": 112,
            "reasons": ["price: out of range"],
            "clamped": True,
            "values": {"age": 2.0, "price": 5.0},
        },
    ]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.float32("-inf"), "-inf"),
        (b"\xffk", "\\xffk"),
        (np.array([1.0, np.nan]), [1.0, "nan"]),
        (np.int64(3), 3),
    ],
)
def test_values_become_plain_types(value, plain):
    assert to_plain_value(value) == plain

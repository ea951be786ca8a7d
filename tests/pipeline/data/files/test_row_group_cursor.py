from __future__ import annotations

import pyarrow as pa
import pytest

from steadyrank.pipeline.data.files.row_group_cursor import (
    LARGE_ROWS,
    RowGroupCursor,
    divide_row_group,
    regroup_batches,
)


def make_cursor(num_parts: int = 4, available: int = 4, fail_once_at: int | None = None) -> tuple[RowGroupCursor, list]:
    """Returns a cursor over parts that hold their numbers, and the list of the parts that were read."""
    log: list = []
    failures = [] if fail_once_at is None else [fail_once_at]

    def open_parts():
        log.append("open")
        for part in range(available):
            if part in failures:
                failures.remove(part)
                raise OSError("broken")
            log.append(part)
            yield pa.table({"part": [part]})

    return RowGroupCursor(open_parts, num_parts), log


def test_parts_in_order_are_read_in_one_pass():
    cursor, log = make_cursor()
    assert [cursor.read(part)["part"][0].as_py() for part in range(4)] == [0, 1, 2, 3]
    assert log == ["open", 0, 1, 2, 3]


def test_a_later_part_skips_and_an_earlier_part_starts_again():
    cursor, log = make_cursor()
    assert cursor.read(2)["part"][0].as_py() == 2
    assert cursor.read(1)["part"][0].as_py() == 1
    assert log == ["open", 0, 1, 2, "open", 0, 1]


def test_a_failed_read_starts_again():
    cursor, log = make_cursor(fail_once_at=1)
    cursor.read(0)
    with pytest.raises(OSError, match="broken"):
        cursor.read(1)
    assert cursor.read(1)["part"][0].as_py() == 1
    assert log == ["open", 0, "open", 0, 1]


def test_a_row_group_that_ends_early_is_refused():
    cursor, _ = make_cursor(available=2)
    with pytest.raises(ValueError, match="the row group ends after 2 of 4 parts"):
        cursor.read(3)


@pytest.mark.parametrize("rows", [0, 1, LARGE_ROWS, LARGE_ROWS + 1, 1_000_003])
def test_parts_have_equal_sizes_and_all_rows(rows):
    parts = divide_row_group(2, rows)
    assert sum(part.rows for part in parts) == rows
    assert {part.num_parts for part in parts} == {len(parts)}
    assert {part.rows for part in parts[:-1]} <= {parts[0].part_rows}
    assert (len(parts) == 1) == (rows <= LARGE_ROWS)


def test_batches_of_a_part_are_joined():
    batches = [pa.record_batch({"x": list(range(first, first + 2))}) for first in range(0, 10, 2)]
    tables = list(regroup_batches(batches, 4))
    assert [table["x"].to_pylist() for table in tables] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

"""Two hundred damaged copies of a good log. Each is either refused in one line that names the file, or read correctly.

The log has page checksums, which the reader verifies. Without checksums, the default of pyarrow, a flipped bit in a value goes
unnoticed: the file is valid and holds another number (see the last test). Checksums cover the content of pages, but not their
headers and not the footer. Nearly all flips there contradict the rest of the file or change nothing that is read, but no rule
of the format guarantees it. Of 7,500 random flips in such a file, none gave a wrong row.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.schema_inference.proposal import propose_schema
from tests.pipeline.data.files.damages import (
    DAMAGES,
    DAYS,
    GROUP,
    ROWS,
    SCHEMA,
    day_file,
    flip_bit,
    make_table,
    replace_column,
    write_table,
)

SECONDS = 20


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("good")
    for i, day in enumerate(DAYS):
        (root / "log" / day).mkdir(parents=True)
        write_table(make_table(i), day_file(root / "log", day))
    (root / "schema.yaml").write_text(SCHEMA)
    return root


def read(root: Path, schema: Path, quarantine: Path, on_invalid: str) -> tuple[dict, dict]:
    """Returns the columns and the skipped rows, by day."""
    settings = Files(path=str(root), schema=str(schema), on_invalid=on_invalid, max_invalid_share=0.2)
    source = FileLog(settings)
    source.open_quarantine(quarantine)
    for day in source.check_days():
        json.dumps(day.to_dict(), allow_nan=False)
    days = {}
    for day, name in enumerate(source.days):
        blocks = [source.block(day, index) for index in range(len(source.block_rows(day)))]
        assert [len(block["click"]) for block in blocks] == list(source.block_rows(day))
        days[name] = {column: np.concatenate([block[column] for block in blocks]) for column in blocks[0]}
    skipped: dict[str, set[int]] = {}
    for line in quarantine.read_text().splitlines() if quarantine.exists() else ():
        row = json.loads(line)
        skipped.setdefault(Path(row["file"]).parent.name, set()).add(row["row"])
    assert sum(source.row_faults.skipped.values()) >= sum(map(len, skipped.values()))
    return days, skipped


@pytest.fixture(scope="module")
def expected(good) -> dict:
    return read(good / "log", good / "schema.yaml", good / "none", "fail")[0]


def run_with_timeout(do: Callable) -> tuple:
    """Returns the result of ``do`` and None, or None and its exception. Fails if it hangs."""
    outcomes: list = []

    def run() -> None:
        try:
            outcomes.append((do(), None))
        except Exception as error:
            outcomes.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert outcomes, f"it did not end within {SECONDS} seconds"
    return outcomes[0]


def check(root: Path, schema: Path, on_invalid: str, expected: dict, must_be_faulty: dict[str, set[int]] | None) -> str:
    """Returns "refused" or "correct"; fails if the log is neither."""
    quarantine = root.parent / f"{on_invalid}.jsonl"
    result, error = run_with_timeout(lambda: read(root, schema, quarantine, on_invalid))
    if error is not None:
        assert isinstance(error, UserError), f"{type(error).__name__}: {error}"
        assert len(str(error).splitlines()) == 1
        # An empty day has no file to name.
        assert ".parquet" in str(error) or any(f"{day} has no rows" in str(error) for day in DAYS)
        return "refused"
    days, skipped = result
    faulty = must_be_faulty or {}
    assert skipped == (faulty if on_invalid == "skip" else {})
    assert on_invalid == "skip" or not faulty, "faulty rows were not refused"
    assert days, "no day is left"
    for day, columns in days.items():
        valid_rows = np.setdiff1d(np.arange(len(columns["click"])), sorted(faulty.get(day, ())))
        assert len(columns["click"]) == ROWS
        assert np.isnan(columns["click"][sorted(faulty.get(day, ()))]).all()
        for name, column in columns.items():
            np.testing.assert_array_equal(column[valid_rows], expected[day][name][valid_rows], err_msg=f"{day}: {name}")
    return "correct"


CASES = [(damage, i) for damage, times in DAMAGES for i in range(times)]


def test_the_suite_has_two_hundred_cases():
    assert len(CASES) == 200


@pytest.mark.parametrize(("damage", "i"), CASES, ids=[f"{damage.__name__}-{i}" for damage, i in CASES])
def test_a_damaged_log_is_refused_or_read_correctly(good, expected, tmp_path, damage, i):
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    faulty = damage(np.random.default_rng((i, len(damage.__name__))), root)
    schema = good / "schema.yaml"
    ends = {on_invalid: check(root, schema, on_invalid, expected, faulty) for on_invalid in ("fail", "skip")}
    if faulty:
        assert ends == {"fail": "refused", "skip": "correct"}
    else:
        assert len(set(ends.values())) == 1


def test_strings_that_are_not_utf8_are_read_as_bytes(good, expected, tmp_path):
    """Some writers put Latin-1 bytes into columns that claim to hold text."""
    words = pa.array([None if i % 5 == 0 else "Köln" if i == 7 else f"country {i % 11}" for i in range(ROWS)])
    latin = pa.array([word and word.encode("latin-1") for word in words.to_pylist()], pa.binary())
    text = pa.Array.from_buffers(pa.string(), ROWS, latin.buffers())
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    write_table(replace_column(make_table(0), "country", text), day_file(root, DAYS[0]))
    days, _ = read(root, good / "schema.yaml", tmp_path / "none", "fail")
    assert days[DAYS[0]]["country"][7] == "Köln".encode("latin-1")
    valid_rows = np.arange(ROWS) != 7
    np.testing.assert_array_equal(days[DAYS[0]]["country"][valid_rows], expected[DAYS[0]]["country"][valid_rows])
    assert "country" in {column.name for column in propose_schema(str(root)).columns}


@pytest.mark.parametrize("content", [b"", b"features: [", "features: ä".encode("latin-1"), SCHEMA.encode()[:90]])
def test_a_damaged_schema_is_refused(good, tmp_path, content):
    (tmp_path / "schema.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"schema\.yaml") as raised:
        read(good / "log", tmp_path / "schema.yaml", tmp_path / "none", "fail")
    # One line, or a title and one line for each of several problems.
    problems = getattr(raised.value, "problems", ())
    assert len(str(raised.value).splitlines()) == (1 + len(problems) if len(problems) > 1 else 1)


@pytest.mark.parametrize("checksums", [False, True])
def test_a_changed_number_is_noticed_only_with_checksums(good, expected, tmp_path, checksums):
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    path, content = day_file(root, DAYS[0]), make_table(0)
    pq.write_table(
        content, path, row_group_size=GROUP, write_page_checksum=checksums, use_dictionary=False, compression="none"
    )
    price = content["price"].to_numpy()
    flip_bit(path, 8 * path.read_bytes().index(price[3:6].tobytes()))
    if checksums:
        assert check(root, good / "schema.yaml", "fail", expected, None) == "refused"
        return
    [wrong] = np.flatnonzero(read(root, good / "schema.yaml", tmp_path / "none", "fail")[0][DAYS[0]]["price"] != price)
    assert wrong == 3

"""Two hundred damaged copies of a good log: each is told in one line that names the file, or every row is right or skipped.

The log is written with page checksums, which the reader verifies. Without them, which is pyarrow's default, nobody can notice a
bit that flips in a value: the file is a valid one with another number in it, see the last test. Checksums cover the pages'
contents, not their headers and not the footer. A flip there contradicts the rest of the file or changes nothing that is read in
nearly all cases, but no rule of the format makes sure of that; of 7,500 random flips in such a file none gave a wrong row.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.checks.validation import check_days
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.data.schema_inference import propose_schema

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: price, kind: numerical}
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, hash_buckets: 100}
- {name: history, kind: bag, width: 3, hash_buckets: 50}
- {name: tags, kind: bag, dtype: string, width: 2, hash_buckets: 50}
- {name: scores, kind: numerical, width: 2}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression, mask: answered}
"""
DAYS, ROWS, GROUP = ("day=1", "day=2", "day=3"), 60, 30
SECONDS = 20
# Returns the rows that must be found faulty, by day; None: either the damage is told, or every row is right.
Damage = Callable[[np.random.Generator, Path], "dict[str, set[int]] | None"]


def table(day: int) -> pa.Table:
    rng = np.random.default_rng(day)
    n = np.arange(ROWS)
    return pa.table(
        {
            "age": pa.array([None if i % 7 == 0 else float(x) for i, x in enumerate(rng.normal(40, 9, ROWS))]),
            "price": pa.array(rng.normal(size=ROWS), pa.float32()),
            "user": pa.array(rng.integers(0, 10**12, ROWS)),
            "country": pa.array([None if i % 5 == 0 else f"country {i % 11}" for i in n]),
            "history": pa.array([None if i % 6 == 0 else rng.integers(0, 99, i % 5).tolist() for i in n]),
            "tags": pa.array([[f"t{i % 9}"] * (i % 3) for i in n]),
            "scores": pa.array(list(rng.normal(size=(ROWS, 2)))),
            "click": pa.array((n % 3 == 0).astype(np.float64)),
            "minutes": pa.array(rng.gamma(2, 3, ROWS)),
            "answered": pa.array(n % 2 == 0),
            "not used": pa.array(["x"] * ROWS),
        }
    )


def write(content: pa.Table, path: Path) -> None:
    pq.write_table(content, path, row_group_size=GROUP, write_page_checksum=True)


def file_of(root: Path, day: str) -> Path:
    return root / day / f"{day[4:]}.parquet"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("good")
    for i, day in enumerate(DAYS):
        (root / "log" / day).mkdir(parents=True)
        write(table(i), file_of(root / "log", day))
    (root / "schema.yaml").write_text(SCHEMA)
    return root


def read(root: Path, schema: Path, quarantine: Path, on_invalid: str) -> tuple[dict, dict]:
    """By day the columns, and the rows that were skipped."""
    settings = Files(path=str(root), schema=str(schema), on_invalid=on_invalid, max_invalid_share=0.2)
    source = FileLog(settings)
    source.open_quarantine(quarantine)
    for day in check_days(source, settings):
        json.dumps(day.to_dict(), allow_nan=False)
    days = {}
    for day, name in enumerate(source.days):
        blocks = [source.block(day, index) for index in range(len(source.block_rows(day)))]
        assert [len(block["click"]) for block in blocks] == list(source.block_rows(day))
        days[name] = {column: np.concatenate([block[column] for block in blocks]) for column in blocks[0]}
    skipped: dict[str, set[int]] = {}
    for line in quarantine.read_text().splitlines() if quarantine.exists() else ():
        told = json.loads(line)
        skipped.setdefault(Path(told["file"]).parent.name, set()).add(told["row"])
    assert sum(source.row_faults.skipped.values()) >= sum(map(len, skipped.values()))
    return days, skipped


@pytest.fixture(scope="module")
def expected(good) -> dict:
    return read(good / "log", good / "schema.yaml", good / "none", "fail")[0]


def in_time(do: Callable) -> tuple:
    """What it returns, or the exception that it ended with; a hang fails."""
    ended: list = []

    def run() -> None:
        try:
            ended.append((do(), None))
        except Exception as error:
            ended.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert ended, f"it did not end within {SECONDS} seconds"
    return ended[0]


def check(root: Path, schema: Path, on_invalid: str, expected: dict, must_be_faulty: dict[str, set[int]] | None) -> str:
    """How it ended: told, or right; anything else fails."""
    quarantine = root.parent / f"{on_invalid}.jsonl"
    found, error = in_time(lambda: read(root, schema, quarantine, on_invalid))
    if error is not None:
        assert isinstance(error, UserError), f"{type(error).__name__}: {error}"
        assert len(str(error).splitlines()) == 1
        # An empty day has no file.
        assert ".parquet" in str(error) or any(f"{day} has no rows" in str(error) for day in DAYS)
        return "told"
    days, skipped = found
    faulty = must_be_faulty or {}
    assert skipped == (faulty if on_invalid == "skip" else {})
    assert on_invalid == "skip" or not faulty, "faulty rows were not told"
    assert days, "no day is left"
    for day, columns in days.items():
        kept = np.setdiff1d(np.arange(len(columns["click"])), sorted(faulty.get(day, ())))
        assert len(columns["click"]) == ROWS
        assert np.isnan(columns["click"][sorted(faulty.get(day, ()))]).all()
        for name, column in columns.items():
            np.testing.assert_array_equal(column[kept], expected[day][name][kept], err_msg=f"{day}: {name}")
    return "right"


# What damages the bytes of a file.


def cut(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    whole = path.read_bytes()
    path.write_bytes(whole[: rng.integers(len(whole))])


def beginning_lost(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    whole = path.read_bytes()
    path.write_bytes(whole[rng.integers(1, len(whole)) :])


def flip(path: Path, bit: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)


def bit_flipped(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    flip(path, int(rng.integers(8 * path.stat().st_size)))


def piece_overwritten(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    whole = bytearray(path.read_bytes())
    first = int(rng.integers(len(whole)))
    piece = rng.bytes(int(rng.integers(1, 64))) if rng.random() < 0.5 else bytes(64)
    whole[first : first + len(piece)] = piece
    path.write_bytes(whole)


def emptied(rng: np.random.Generator, root: Path) -> None:
    file_of(root, rng.choice(DAYS)).write_bytes(b"")


def text_instead(rng: np.random.Generator, root: Path) -> None:
    file_of(root, rng.choice(DAYS)).write_bytes(b"age,price\n1,2\n" * int(rng.integers(1, 99)))


# What damages a day.


def day_emptied(rng: np.random.Generator, root: Path) -> None:
    file_of(root, rng.choice(DAYS)).unlink()


def day_without_rows(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    write(pq.read_table(path, partitioning=None).slice(0, 0), path)


def day_missing(rng: np.random.Generator, root: Path) -> None:
    shutil.rmtree(root / rng.choice(DAYS))


def file_became_a_folder(rng: np.random.Generator, root: Path) -> None:
    path = file_of(root, rng.choice(DAYS))
    path.unlink()
    path.mkdir()


# What damages the columns.


def rewritten(change: Callable[[np.random.Generator, pa.Table, int], pa.Table]) -> Damage:
    def damage(rng: np.random.Generator, root: Path) -> None:
        day = rng.choice(DAYS)
        write(change(rng, table(DAYS.index(day)), int(rng.integers(ROWS))), file_of(root, day))

    damage.__name__ = change.__name__
    return damage


def with_faults(change: Callable[[np.random.Generator, pa.Table, int], pa.Table]) -> Damage:
    """Of one row, which must be found."""

    def damage(rng: np.random.Generator, root: Path) -> dict[str, set[int]]:
        day, row = rng.choice(DAYS), int(rng.integers(ROWS))
        write(change(rng, table(DAYS.index(day)), row), file_of(root, day))
        return {str(day): {row}}

    damage.__name__ = change.__name__
    return damage


def replaced(content: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return content.set_column(content.column_names.index(name), name, column)


def cell(content: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = content[name].to_pylist()
    values[row] = value
    kind = content.schema.field(name).type
    return replaced(content, name, pa.array(values, pa.float64() if pa.types.is_float32(kind) else kind))


USED = [name for name in table(0).column_names if name != "not used"]


@rewritten
def another_type(rng, content, row):
    name = rng.choice(USED)
    kinds = [
        pa.array(["?"] * ROWS),
        pa.array([{"a": 1}] * ROWS),
        pa.array([[["x"]]] * ROWS),
        pa.array([b"\xff"] * ROWS),
        pa.array(np.arange(ROWS), pa.timestamp("us")),
        pa.array([[None, True]] * ROWS),
    ]
    numbers = name not in ("country", "history", "tags", "scores")
    return replaced(content, name, kinds[int(rng.integers(5 if numbers else 2))] if numbers else kinds[1])


@rewritten
def another_type_with_the_same_values(rng, content, row):
    name, kind = [
        ("user", pa.decimal128(20, 0)),
        ("user", pa.uint64()),
        ("country", pa.large_binary()),
        ("country", pa.dictionary(pa.int8(), pa.string())),
        ("history", pa.large_list(pa.int16())),
        ("age", pa.large_string()),
        ("click", pa.int8()),
    ][int(rng.integers(7))]
    column = content[name].combine_chunks()
    if pa.types.is_dictionary(kind):
        return replaced(content, name, column.dictionary_encode())
    return replaced(content, name, pc.cast(column, kind))


@rewritten
def column_missing(rng, content, row):
    return content.drop_columns([rng.choice(USED)])


@rewritten
def column_renamed(rng, content, row):
    name = rng.choice(USED)
    return content.rename_columns([each.upper() if each == name else each for each in content.column_names])


@rewritten
def column_doubled(rng, content, row):
    name = rng.choice(USED)
    return content.append_column(str(name), content[name])


@rewritten
def columns_in_another_order(rng, content, row):
    return content.select(rng.permutation(content.column_names).tolist())


@with_faults
def not_finite(rng, content, row):
    return cell(content, "price", row, [np.nan, np.inf, -np.inf, None][int(rng.integers(4))])


@with_faults
def infinite_where_a_default_stands_for_nan(rng, content, row):
    return cell(content, "age", row, np.inf)


@with_faults
def more_than_float32_holds(rng, content, row):
    return cell(content, rng.choice(["age", "price"]), row, 1e300)


@with_faults
def label_out_of_range(rng, content, row):
    return cell(content, "click", row, [2.0, -1.0, 1e300, np.inf][int(rng.integers(4))])


@with_faults
def vector_of_another_length(rng, content, row):
    return cell(content, "scores", row, [[], [1.0], [1.0, 2.0, 3.0]][int(rng.integers(3))])


@with_faults
def vector_with_a_hole(rng, content, row):
    return cell(content, "scores", row, [[1.0, None], [np.nan, 1.0], [np.inf, 1.0]][int(rng.integers(3))])


@with_faults
def endless_string(rng, content, row):
    name = rng.choice(["country", "tags"])
    text = "x" * (1 << int(rng.integers(16, 24)))
    return cell(content, name, row, [text] if name == "tags" else text)


DAMAGES: list[tuple[Damage, int]] = [
    (bit_flipped, 50),
    (cut, 25),
    (piece_overwritten, 15),
    (beginning_lost, 5),
    (emptied, 2),
    (text_instead, 2),
    (day_emptied, 2),
    (day_without_rows, 2),
    (day_missing, 2),
    (file_became_a_folder, 1),
    (another_type, 20),
    (another_type_with_the_same_values, 12),
    (column_missing, 8),
    (column_renamed, 6),
    (column_doubled, 8),
    (columns_in_another_order, 2),
    (not_finite, 8),
    (infinite_where_a_default_stands_for_nan, 2),
    (more_than_float32_holds, 4),
    (label_out_of_range, 8),
    (vector_of_another_length, 6),
    (vector_with_a_hole, 6),
    (endless_string, 4),
]
CASES = [(damage, i) for damage, times in DAMAGES for i in range(times)]


def test_there_are_two_hundred():
    assert len(CASES) == 200


@pytest.mark.parametrize(("damage", "i"), CASES, ids=[f"{damage.__name__}-{i}" for damage, i in CASES])
def test_told_or_right(good, expected, tmp_path, damage, i):
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    faulty = damage(np.random.default_rng((i, len(damage.__name__))), root)
    schema = good / "schema.yaml"
    ends = {on_invalid: check(root, schema, on_invalid, expected, faulty) for on_invalid in ("fail", "skip")}
    if faulty:
        assert ends == {"fail": "told", "skip": "right"}
    else:
        assert len(set(ends.values())) == 1


def test_bytes_that_are_no_utf8_are_read_as_they_are(good, expected, tmp_path):
    """As a writer in Latin 1 leaves them, in a column that is called text."""
    words = pa.array([None if i % 5 == 0 else "Köln" if i == 7 else f"country {i % 11}" for i in range(ROWS)])
    latin = pa.array([word and word.encode("latin-1") for word in words.to_pylist()], pa.binary())
    text = pa.Array.from_buffers(pa.string(), ROWS, latin.buffers())
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    write(replaced(table(0), "country", text), file_of(root, DAYS[0]))
    days, _ = read(root, good / "schema.yaml", tmp_path / "none", "fail")
    assert days[DAYS[0]]["country"][7] == "Köln".encode("latin-1")
    kept = np.arange(ROWS) != 7
    np.testing.assert_array_equal(days[DAYS[0]]["country"][kept], expected[DAYS[0]]["country"][kept])
    assert "country" in {column.name for column in propose_schema(str(root)).columns}


@pytest.mark.parametrize("content", [b"", b"features: [", "features: ä".encode("latin-1"), SCHEMA.encode()[:90]])
def test_a_damaged_schema_is_told(good, tmp_path, content):
    (tmp_path / "schema.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"schema\.yaml") as raised:
        read(good / "log", tmp_path / "schema.yaml", tmp_path / "none", "fail")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("checksums", [False, True])
def test_without_checksums_another_number_is_not_noticed(good, expected, tmp_path, checksums):
    root = tmp_path / "log"
    shutil.copytree(good / "log", root)
    path, content = file_of(root, DAYS[0]), table(0)
    pq.write_table(
        content, path, row_group_size=GROUP, write_page_checksum=checksums, use_dictionary=False, compression="none"
    )
    price = content["price"].to_numpy()
    flip(path, 8 * path.read_bytes().index(price[3:6].tobytes()))
    if checksums:
        assert check(root, good / "schema.yaml", "fail", expected, None) == "told"
        return
    [wrong] = np.flatnonzero(read(root, good / "schema.yaml", tmp_path / "none", "fail")[0][DAYS[0]]["price"] != price)
    assert wrong == 3

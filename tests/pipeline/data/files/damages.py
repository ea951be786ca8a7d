"""A good log, and the ways to damage it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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
# Damages the log in a folder. Returns the expected faulty rows by day. None: the reader must report the damage, or it must be harmless.
Damage = Callable[[np.random.Generator, Path], "dict[str, set[int]] | None"]


def make_table(day: int) -> pa.Table:
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


def write_table(content: pa.Table, path: Path) -> None:
    pq.write_table(content, path, row_group_size=GROUP, write_page_checksum=True)


def day_file(root: Path, day: str) -> Path:
    return root / day / f"{day[4:]}.parquet"


# Damage to the bytes of a file.


def truncate(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    whole = path.read_bytes()
    path.write_bytes(whole[: rng.integers(len(whole))])


def lose_beginning(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    whole = path.read_bytes()
    path.write_bytes(whole[rng.integers(1, len(whole)) :])


def flip_bit(path: Path, bit: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)


def flip_random_bit(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    flip_bit(path, int(rng.integers(8 * path.stat().st_size)))


def overwrite_piece(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    whole = bytearray(path.read_bytes())
    first = int(rng.integers(len(whole)))
    piece = rng.bytes(int(rng.integers(1, 64))) if rng.random() < 0.5 else bytes(64)
    whole[first : first + len(piece)] = piece
    path.write_bytes(whole)


def empty_file(rng: np.random.Generator, root: Path) -> None:
    day_file(root, rng.choice(DAYS)).write_bytes(b"")


def write_text_instead(rng: np.random.Generator, root: Path) -> None:
    day_file(root, rng.choice(DAYS)).write_bytes(b"age,price\n1,2\n" * int(rng.integers(1, 99)))


# Damage to a day.


def empty_day(rng: np.random.Generator, root: Path) -> None:
    day_file(root, rng.choice(DAYS)).unlink()


def write_day_without_rows(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    write_table(pq.read_table(path, partitioning=None).slice(0, 0), path)


def remove_day(rng: np.random.Generator, root: Path) -> None:
    shutil.rmtree(root / rng.choice(DAYS))


def replace_file_by_folder(rng: np.random.Generator, root: Path) -> None:
    path = day_file(root, rng.choice(DAYS))
    path.unlink()
    path.mkdir()


# Damage to columns.


def rewrite_table(change: Callable[[np.random.Generator, pa.Table, int], pa.Table]) -> Damage:
    def damage(rng: np.random.Generator, root: Path) -> None:
        day = rng.choice(DAYS)
        write_table(change(rng, make_table(DAYS.index(day)), int(rng.integers(ROWS))), day_file(root, day))

    damage.__name__ = change.__name__
    return damage


def make_row_faulty(change: Callable[[np.random.Generator, pa.Table, int], pa.Table]) -> Damage:
    """Wraps a change that makes one row faulty; the log must report that row."""

    def damage(rng: np.random.Generator, root: Path) -> dict[str, set[int]]:
        day, row = rng.choice(DAYS), int(rng.integers(ROWS))
        write_table(change(rng, make_table(DAYS.index(day)), row), day_file(root, day))
        return {str(day): {row}}

    damage.__name__ = change.__name__
    return damage


def replace_column(content: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return content.set_column(content.column_names.index(name), name, column)


def replace_cell(content: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = content[name].to_pylist()
    values[row] = value
    kind = content.schema.field(name).type
    return replace_column(content, name, pa.array(values, pa.float64() if pa.types.is_float32(kind) else kind))


USED = [name for name in make_table(0).column_names if name != "not used"]


@rewrite_table
def change_type(rng, content, row):
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
    return replace_column(content, name, kinds[int(rng.integers(5 if numbers else 2))] if numbers else kinds[1])


@rewrite_table
def cast_to_compatible_type(rng, content, row):
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
        return replace_column(content, name, column.dictionary_encode())
    return replace_column(content, name, pc.cast(column, kind))


@rewrite_table
def remove_column(rng, content, row):
    return content.drop_columns([rng.choice(USED)])


@rewrite_table
def rename_column(rng, content, row):
    name = rng.choice(USED)
    return content.rename_columns([column.upper() if column == name else column for column in content.column_names])


@rewrite_table
def duplicate_column(rng, content, row):
    name = rng.choice(USED)
    return content.append_column(str(name), content[name])


@rewrite_table
def reorder_columns(rng, content, row):
    return content.select(rng.permutation(content.column_names).tolist())


@make_row_faulty
def not_finite_number(rng, content, row):
    return replace_cell(content, "price", row, [np.nan, np.inf, -np.inf, None][int(rng.integers(4))])


@make_row_faulty
def infinite_number_with_default(rng, content, row):
    return replace_cell(content, "age", row, np.inf)


@make_row_faulty
def number_beyond_float32(rng, content, row):
    return replace_cell(content, rng.choice(["age", "price"]), row, 1e300)


@make_row_faulty
def label_out_of_range(rng, content, row):
    return replace_cell(content, "click", row, [2.0, -1.0, 1e300, np.inf][int(rng.integers(4))])


@make_row_faulty
def vector_of_wrong_length(rng, content, row):
    return replace_cell(content, "scores", row, [[], [1.0], [1.0, 2.0, 3.0]][int(rng.integers(3))])


@make_row_faulty
def vector_with_gap(rng, content, row):
    return replace_cell(content, "scores", row, [[1.0, None], [np.nan, 1.0], [np.inf, 1.0]][int(rng.integers(3))])


@make_row_faulty
def huge_string(rng, content, row):
    name = rng.choice(["country", "tags"])
    text = "x" * (1 << int(rng.integers(16, 24)))
    return replace_cell(content, name, row, [text] if name == "tags" else text)


DAMAGES: list[tuple[Damage, int]] = [
    (flip_random_bit, 50),
    (truncate, 25),
    (overwrite_piece, 15),
    (lose_beginning, 5),
    (empty_file, 2),
    (write_text_instead, 2),
    (empty_day, 2),
    (write_day_without_rows, 2),
    (remove_day, 2),
    (replace_file_by_folder, 1),
    (change_type, 20),
    (cast_to_compatible_type, 12),
    (remove_column, 8),
    (rename_column, 6),
    (duplicate_column, 8),
    (reorder_columns, 2),
    (not_finite_number, 8),
    (infinite_number_with_default, 2),
    (number_beyond_float32, 4),
    (label_out_of_range, 8),
    (vector_of_wrong_length, 6),
    (vector_with_gap, 6),
    (huge_string, 4),
]

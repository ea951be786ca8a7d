"""A log of days with invented rows, and faults to plant in one of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: spent, kind: numerical, normalization: log}
- {name: constant, kind: numerical}
- {name: user, kind: categorical, hash_buckets: 1000}
- {name: country, kind: categorical, dtype: string, vocabulary: [de, fr, it]}
- {name: device, kind: categorical, dtype: string, hash_buckets: 10}
- {name: history, kind: bag, width: 3, num_ids: 500}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression}
"""
ROWS = 4000

Columns = Mapping[str, Any]
Fault = Callable[[Columns], Columns]


def make_columns(day: int) -> dict[str, np.ndarray]:
    """Makes the columns of a usual day. Weekend days have half the rows, and other people."""
    rng = np.random.default_rng(day)
    weekend = day % 7 >= 5
    rows = ROWS // 2 if weekend else ROWS
    return {
        "age": rng.normal(35 - 3 * weekend, 10, rows),
        "spent": np.floor(rng.lognormal(1, 2, rows)),
        "constant": np.ones(rows),
        # New users come every day, but most users are old ones.
        "user": rng.zipf(1.3, rows) % (1000 + 50 * day),
        "country": rng.choice(["de", "fr", "it", "pl"], rows, p=[0.5, 0.3, 0.15, 0.05]),
        "device": rng.choice(["phone", "tablet", "desk"], rows),
        "history": rng.integers(0, 500, (rows, 3)),
        "click": rng.random(rows) < 0.05 + 0.01 * weekend,
        "minutes": np.where(rng.random(rows) < 0.2, np.nan, rng.gamma(2, 3, rows)),
    }


def write_columns(path: Path, columns: Columns) -> None:
    arrays = {name: pa.array(list(values) if np.ndim(values) == 2 else values) for name, values in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path, row_group_size=500)


def name_day(day: int) -> str:
    return f"day={datetime.date(2026, 11, 2) + datetime.timedelta(day)}"


def _change(**changes: Callable[[np.ndarray], Any]) -> Fault:
    """Returns a fault that changes some columns."""
    return lambda columns: dict(columns) | {name: change(columns[name]) for name, change in changes.items()}


def _replace_some(values: np.ndarray, share: float, replacement: object) -> list[Any]:
    replaced = np.array(values, object)
    replaced[np.random.default_rng(1).random(len(replaced)) < share] = replacement
    return replaced.tolist()


def _repeat_first_half(columns: Columns) -> Columns:
    return {name: np.concatenate([values[: len(values) // 2]] * 2) for name, values in columns.items()}


FAULTS: dict[str, tuple[Fault, tuple[str, str]]] = {
    "a unit that changed": (_change(age=lambda v: v * 12), ("shifted", "age")),
    "a counter that grew": (_change(spent=lambda v: v * 1000), ("shifted", "spent")),
    "a wider spread": (_change(age=lambda v: (v - 35) * 6 + 35), ("shifted", "age")),
    "a number that froze": (_change(age=lambda v: np.full(len(v), 35.0)), ("constant", "age")),
    "a constant that changed": (_change(constant=lambda v: v * 2), ("shifted", "constant")),
    "a constant that began to vary": (
        _change(constant=lambda v: v + np.random.default_rng(2).random(len(v))),
        ("shifted", "constant"),
    ),
    "some missing numbers": (_change(age=lambda v: _replace_some(v, 0.4, None)), ("missing_values", "age")),
    "no numbers at all": (_change(age=lambda v: pa.nulls(len(v), pa.float64())), ("missing_values", "age")),
    "some missing strings": (_change(country=lambda v: _replace_some(v, 0.5, None)), ("missing_values", "country")),
    "a single country": (_change(country=lambda v: np.full(len(v), "de")), ("constant", "country")),
    "upper-case countries": (_change(country=lambda v: np.char.upper(v.astype(str))), ("unknown_values", "country")),
    "renamed devices": (_change(device=lambda v: np.char.add("v2/", v.astype(str))), ("unknown_values", "device")),
    "renumbered users": (_change(user=lambda v: v + 10_000_000), ("unknown_values", "user")),
    "a history outside its id range": (_change(history=lambda v: v + 10_000), ("unknown_values", "history")),
    "three times as many clicks": (
        _change(click=lambda v: v | (np.random.default_rng(2).random(len(v)) < 0.12)),
        ("shifted", "click"),
    ),
    "no clicks": (_change(click=np.zeros_like), ("constant", "click")),
    "some missing labels": (_change(minutes=lambda v: _replace_some(v, 0.6, None)), ("missing_values", "minutes")),
    "few rows": (lambda columns: {name: v[:400] for name, v in columns.items()}, ("rows", "")),
    "another column type": (_change(age=lambda v: v.round().astype(int)), ("type", "age")),
    "repeated rows": (_repeat_first_half, ("duplicates", "")),
}
"""By name: the fault, and the check and the column that must report it."""

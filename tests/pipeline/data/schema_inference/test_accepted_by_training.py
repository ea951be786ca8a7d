"""Training reads every block of a log with the proposed schema, whatever the log's types, names and days."""

from __future__ import annotations

import datetime
import decimal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadyrank.models import Schema
from steadyrank.pipeline.config import read
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.columns import Columns
from steadyrank.pipeline.data.files import FileLog
from steadyrank.pipeline.data.schema_inference import SchemaProposal, format_proposal, propose_schema

ROWS = 40

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64())
DECIMALS = (pa.decimal32(5, 0), pa.decimal64(12, 2), pa.decimal128(20, 0), pa.decimal256(50, 3))
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
NUMBERS = (*INTEGERS, *DECIMALS, pa.float16(), pa.float32(), pa.float64(), pa.bool_())
PLAIN = (*NUMBERS, *TEXTS, pa.null())
OTHERS = (
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us", "UTC"),
    pa.duration("s"),
    pa.binary(4),
    pa.struct([("a", pa.int32())]),
    pa.map_(pa.string(), pa.int32()),
    pa.list_(pa.list_(pa.int32())),
    pa.list_(pa.struct([("a", pa.int32())])),
    pa.list_(pa.timestamp("s")),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int8(), pa.int64()),
    pa.list_(pa.dictionary(pa.int32(), pa.string())),
)
LISTS = tuple(make(kind) for kind in PLAIN for make in (pa.list_, pa.large_list, pa.list_view))
TYPES = (*PLAIN, *OTHERS, *LISTS, *(pa.list_(kind, 2) for kind in (pa.float32(), pa.int64(), pa.string())))
WORDS = (
    "",
    "a",
    "de",
    "null",
    "no",
    "1",
    "true",
    " x",
    "a: b, [c]",
    "#",
    "é",
    "a\nb",
    "'",
    '"',
    "~",
    "0x1",
    "\t",
    "a\0",
    "\x85",
)
NAMES = st.one_of(
    st.sampled_from(
        ["age", "Age", "age (years)", "age [years]", "class", "self", "a.b", "年龄", "城市", "", " ", "no", "1", "y"]
    ),
    st.sampled_from(
        ["user_id", "item_ids", "price_1", "price_2", "weight", "revenue", "label", "rating", "a\nb", "a: b", "#x"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)


def make_value(kind: pa.DataType, rng: np.random.Generator, low: int) -> Any:
    """One value that is not null."""
    if pa.types.is_boolean(kind):
        return bool(rng.integers(0, 2))
    if pa.types.is_unsigned_integer(kind):
        return int(rng.integers(0, 100))
    if pa.types.is_integer(kind):
        return int(rng.integers(low, 120))
    if pa.types.is_decimal(kind):
        return (
            decimal.Decimal(int(rng.integers(0, 999))).scaleb(-kind.scale)
            if kind.scale
            else decimal.Decimal(int(rng.integers(0, 99999)))
        )
    if pa.types.is_floating(kind):
        return np.array(rng.choice([rng.normal(), rng.normal(), 3.0, np.nan]), kind.to_pandas_dtype())[()]
    if kind in TEXTS:
        word = WORDS[rng.integers(0, len(WORDS))]
        is_text = not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
        return word if is_text else word.encode() + bytes([rng.integers(60, 256)])
    if pa.types.is_struct(kind):
        return {"a": 1}
    if pa.types.is_map(kind):
        return [("k", 1)]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return datetime.datetime(2026, 1, 1) + datetime.timedelta(days=int(rng.integers(0, 9)))
    if pa.types.is_time(kind):
        return datetime.time(int(rng.integers(0, 24)))
    if pa.types.is_duration(kind):
        return datetime.timedelta(seconds=int(rng.integers(0, 99)))
    if pa.types.is_fixed_size_binary(kind):
        return rng.bytes(4)
    if pa.types.is_dictionary(kind):
        return make_value(kind.value_type, rng, low)
    if pa.types.is_null(kind):
        return None
    length = kind.list_size if pa.types.is_fixed_size_list(kind) else int(rng.integers(*LENGTHS[low % len(LENGTHS)]))
    return [None if rng.random() < 0.1 else make_value(kind.value_type, rng, low) for _ in range(length)]


LENGTHS = ((0, 4), (1, 2), (2, 3))


def make_array(kind: pa.DataType, rng: np.random.Generator, null_share: float, low: int) -> pa.Array:
    return pa.array([None if rng.random() < null_share else make_value(kind, rng, low) for _ in range(ROWS)], kind)


COLUMNS = st.tuples(NAMES, st.sampled_from(TYPES), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0, -3, 1]))


def write_day(folder: Path, day: int, columns: list[tuple], seed: int) -> None:
    rng = np.random.default_rng((seed, day))
    names = ["click", "amount", *(name for name, *_ in columns)]
    arrays = [pa.array(rng.permutation(np.arange(ROWS) % 2)), pa.array(rng.normal(size=ROWS))]
    arrays += [make_array(kind, rng, share, low) for _, kind, share, low in columns]
    path = folder / f"day={day}"
    path.mkdir(parents=True)
    pq.write_table(pa.table(arrays, names), path / "a.parquet")


def read_blocks(log: FileLog) -> list[Columns]:
    return [log.block(day, index) for day in range(len(log.days)) for index in range(len(log.block_rows(day)))]


def propose(folder: Path, **arguments: Any) -> tuple[SchemaProposal, list[Columns]]:
    """Proposes a schema, and reads the log with its YAML file."""
    proposal = propose_schema(str(folder / "log"), **arguments)
    path = folder / "schema.yaml"
    path.write_text(format_proposal(proposal, str(folder)), encoding="utf-8")
    assert read(Schema, path) == proposal.schema
    return proposal, read_blocks(FileLog(Files(path=str(folder / "log"), schema=str(path))))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    columns=st.lists(COLUMNS, min_size=1, max_size=6),
    changes=st.lists(COLUMNS, max_size=2),
    days=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_training_reads_every_block_of_any_log(columns, changes, days, seed):
    with tempfile.TemporaryDirectory() as folder:
        for day in range(days):
            write_day(Path(folder) / "log", day, [*columns, *changes] if day else columns, seed)
        proposal, blocks = propose(Path(folder), labels=["click"])
        assert len(blocks) == days
        names = [column.name for column in proposal.columns]
        assert len(set(names)) == len(names)
        for column in proposal.columns:
            assert (
                sum(
                    map(
                        bool,
                        (
                            column.task and not column.is_excluded,
                            column.feature and not column.is_excluded,
                            column.is_excluded,
                        ),
                    )
                )
                == 1
            )

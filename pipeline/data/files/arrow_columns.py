"""From a table of a user's log to the columns of a batch, and which rows are faulty; vectorised, no row is looked at alone."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....models.schema import MISSING_INTEGER, Feature, Schema, Task
from ...config.errors import UserError
from ..source import DictionaryColumn, EncodedColumns

RowMasks = dict[str, np.ndarray]


@dataclasses.dataclass
class FaultMasks:
    """Which rows of a table are not as its schema says, by reason; only reasons that occur.

    Attributes:
      faulty: Rows that cannot be trained on.
      clamped: Rows of which a value was put to the bound that it was beyond.
    """

    faulty: RowMasks = dataclasses.field(default_factory=dict)
    clamped: RowMasks = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.faulty or self.clamped)

    def part(self, rows: slice) -> FaultMasks:
        """Those of some of the rows."""
        return FaultMasks(
            *({r: f[rows] for r, f in each.items() if f[rows].any()} for each in (self.faulty, self.clamped))
        )


# Bytes of a string: a column has room for its longest in every row, so that one endless string would fill the memory.
LONGEST_STRING = 1024


def list_log_columns(schema: Schema) -> list[str]:
    """The columns of a log that a schema reads, each once."""
    labels = [name for task in schema.tasks for name in (task.label, task.mask) if name]
    return list(dict.fromkeys([*(feature.log_column for feature in schema.features), *labels]))


def list_string_columns(schema: Schema) -> list[str]:
    """Those that are read as strings."""
    return list(dict.fromkeys(feature.log_column for feature in schema.features if feature.dtype == "string"))


def convert_table(
    table: pa.Table,
    schema: Schema,
    where: str,
    clamp: bool = False,
    names: Callable[[], Iterable[str]] | None = None,
) -> tuple[EncodedColumns, FaultMasks]:
    """The columns that ``schema`` describes.

    Args:
      table: With the columns of :func:`list_log_columns`.
      schema: What is to be made of them.
      where: The file, for errors.
      clamp: Whether numbers beyond their bounds are put to these, instead of being faults.
      names: All columns that the file has, for errors. None: those of the table.

    Returns:
      The columns, those of strings coded; and what was found.

    Raises:
      UserError: When a column is missing, damaged, or of a type that cannot be what the schema says.
    """
    columns: EncodedColumns = {}
    found = FaultMasks()
    for feature in schema.features:
        given = _column(table, feature.log_column, f"feature '{feature.name}'", where, names)
        try:
            columns[feature.name] = _feature(given, feature, found, clamp)
        except IndexError as error:
            raise UserError(f"{where}: column '{feature.log_column}' is damaged: {error}") from error
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise _wrong_type(where, feature.log_column, given.type, _wanted(feature)) from error
    for task in schema.tasks:
        if task.label_column in columns:
            continue
        given = _column(table, task.label, f"the label of task '{task.name}'", where, names)
        mask = _column(table, task.mask, f"the mask of task '{task.name}'", where, names) if task.mask else None
        try:
            columns[task.label_column] = _label(given, mask, task, found, clamp)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise _wrong_type(where, task.label, given.type, "a label, a number or a truth value") from error
    return columns, found.part(slice(None))


def blank_faulty_rows(columns: EncodedColumns, faulty: np.ndarray, schema: Schema) -> EncodedColumns:
    """The same rows in the same places, the faulty ones without labels and with features that do no harm: they train nothing."""
    cleaned: EncodedColumns = {}
    for name, column in columns.items():
        if isinstance(column, DictionaryColumn):
            indices = column.indices.copy()
            indices[faulty] = len(column.values) - 1
            cleaned[name] = DictionaryColumn(column.values, indices)
            continue
        column = column.copy()
        if name in schema.label_columns:
            column[faulty] = np.nan
        elif column.dtype.kind == "f":
            column[faulty] = 0.0
        else:
            column[faulty] = MISSING_INTEGER
        cleaned[name] = column
    return cleaned


def _column(table: pa.Table, name: str, of: str, where: str, names: Callable[[], Iterable[str]] | None) -> pa.Array:
    places = table.schema.get_all_field_indices(name)
    if not places:
        there = list(names() if names else table.column_names)
        near = difflib.get_close_matches(name, there, 1)
        shown = ", ".join(there[:8]) + (" …" if len(there) > 8 else "")
        raise UserError(
            f"{where}: column '{name}', {of}, is missing; the file has {shown}"
            + (f"; did you mean '{near[0]}'?" if near else "")
        )
    if len(places) > 1:
        raise UserError(f"{where}: column '{name}', {of}, stands there {len(places)} times")
    return to_single_array(table.column(places[0]))


def to_single_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    if column.num_chunks == 1:
        # Combining would copy it.
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def fill_nulls(given: pa.Array, filling: Any) -> pa.Array:
    """The same with ``filling`` where there is no value; Arrow would copy a column that has all."""
    return pc.fill_null(given, filling) if given.null_count else given


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds single numbers or truth values."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds single strings, be they bytes."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def flatten_lists(given: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The values of all rows after one another, and how many each row has; none where it is null.

    Raises:
      TypeError: When it holds no lists.
    """
    if not is_list(given.type):
        raise TypeError(given.type)
    if pa.types.is_fixed_size_list(given.type):
        given = given.cast(pa.list_(given.type.value_type))
    lengths = fill_nulls(pc.list_value_length(given), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return given.flatten(), lengths


def _wrong_type(where: str, column: str, kind: pa.DataType, wanted: str) -> UserError:
    return UserError(
        f"{where}: column '{column}' should be {wanted}, but the file has {kind}; correct the schema or the file"
    )


def _wanted(feature: Feature) -> str:
    if feature.kind == "numerical":
        return "numbers" if feature.width == 1 else f"lists of {feature.width} numbers"
    what = "strings" if feature.dtype == "string" else "whole numbers"
    return what if feature.kind == "categorical" else f"lists of {what}"


def _feature(given: pa.Array, feature: Feature, found: FaultMasks, clamp: bool) -> np.ndarray | DictionaryColumn:
    if feature.kind != "numerical":
        ids, endless = _bag(given, feature) if feature.kind == "bag" else _ids(given, feature.dtype)
        _add(found.faulty, f"{feature.name}: a string of more than {LONGEST_STRING:,} bytes", endless)
        return ids
    if feature.width == 1:
        numbers = _numbers(given)
    else:
        numbers, short = _vectors(given, feature.width)
        _add(found.faulty, f"{feature.name}: not {feature.width} numbers", short)
    numbers = _within(numbers, feature.bounds, f"{feature.name}: out of range", found, clamp)
    bad = np.isinf(numbers) if feature.default is not None else ~np.isfinite(numbers)
    _add(found.faulty, f"{feature.name}: not finite", _of_rows(bad))
    return numbers


def _label(given: pa.Array, mask: pa.Array | None, task: Task, found: FaultMasks, clamp: bool) -> np.ndarray:
    label = _numbers(given)
    if mask is not None:
        there = _numbers(mask)
        label = np.where(np.nan_to_num(there, nan=0.0) != 0, label, np.float32(np.nan))
    reason = f"{task.label}: out of range"
    label = _within(label, task.bounds, reason, found, clamp)
    _add(found.faulty, reason, np.isinf(label))
    return label if task.above is None else np.where(np.isnan(label), label, label > task.above).astype(np.float32)


def _within(
    numbers: np.ndarray, bounds: tuple[float, float], reason: str, found: FaultMasks, clamp: bool
) -> np.ndarray:
    """The numbers, those beyond the bounds put to them if they are to be; what is NaN stays."""
    low, high = bounds
    if low == -np.inf and high == np.inf:
        return numbers
    with np.errstate(invalid="ignore"):
        beyond = (numbers < low) | (numbers > high)
    if not beyond.any():
        return numbers
    _add(found.clamped if clamp else found.faulty, reason, _of_rows(beyond))
    return np.clip(numbers, np.float32(low), np.float32(high)) if clamp else numbers


def _of_rows(found: np.ndarray) -> np.ndarray:
    return np.any(found, axis=1) if found.ndim == 2 else found


def _add(faults: RowMasks, reason: str, rows: np.ndarray) -> None:
    faults[reason] = faults[reason] | rows if reason in faults else rows


def _numbers(given: pa.Array) -> np.ndarray:
    """float32, NaN where there is none; what float32 cannot hold is infinite."""
    kind = given.type
    if pa.types.is_dictionary(kind):
        given, kind = given.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(given), np.nan, np.float32)
    if not is_number(kind):
        raise TypeError(kind)
    if pa.types.is_float32(kind) and not given.null_count:
        return given.to_numpy(zero_copy_only=False)
    wide = (
        pc.cast(given, pa.float64(), safe=False)
        if not pa.types.is_boolean(kind)
        else pc.cast(pc.cast(given, pa.int8()), pa.float64())
    )
    with np.errstate(over="ignore"):
        return fill_nulls(wide, float("nan")).to_numpy(zero_copy_only=False).astype(np.float32)


def _ids(given: pa.Array, dtype: str) -> tuple[np.ndarray | DictionaryColumn, np.ndarray]:
    """int64 or strings, the missing form where there is none; and which are too long to be read."""
    return _strings(given) if dtype == "string" else (_integers(given), np.zeros(len(given), bool))


def _integers(given: pa.Array) -> np.ndarray:
    """int64, the missing form where there is none."""
    kind = given.type
    if pa.types.is_dictionary(kind):
        given, kind = given.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(given), MISSING_INTEGER, np.int64)
    if pa.types.is_boolean(kind):
        given = pc.cast(given, pa.int8())
    elif pa.types.is_floating(kind):
        # A column of whole numbers with gaps is often written as floats; halves are refused.
        given = pc.if_else(pc.is_finite(given), given, None)
    elif not pa.types.is_integer(kind):
        raise TypeError(kind)
    if pa.types.is_uint64(kind):
        # Hashes use all 64 bits; the same bits as a signed number are the same id.
        return fill_nulls(given, 2**64 - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    return fill_nulls(pc.cast(given, pa.int64()), MISSING_INTEGER).to_numpy(zero_copy_only=False)


def _strings(given: pa.Array) -> tuple[DictionaryColumn, np.ndarray]:
    """Bytes, ``S<longest>``, and which are too long; as a dictionary, since a log repeats its strings."""
    kind = given.type
    if pa.types.is_null(kind):
        return DictionaryColumn(np.zeros(1, "S1"), np.zeros(len(given), np.int32)), np.zeros(len(given), bool)
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_text(value_type):
        if not (pa.types.is_integer(value_type) or pa.types.is_boolean(value_type)):
            raise TypeError(kind)
        given = pc.cast(given if value_type == kind else given.dictionary_decode(), pa.string())
    if not pa.types.is_dictionary(given.type):
        given = given.dictionary_encode()
    values, endless = _bytes(given.dictionary)
    bounds = pc.min_max(given.indices)
    if bounds["min"].is_valid and not 0 <= bounds["min"].as_py() <= bounds["max"].as_py() < len(given.dictionary):
        # Arrow does not look at it when it reads.
        raise IndexError("a string is not in its dictionary")
    places = fill_nulls(pc.cast(given.indices, pa.int32()), len(values) - 1).to_numpy(zero_copy_only=False)
    return DictionaryColumn(values, places), endless[places]


def _bytes(given: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Strings as they lie there, and one more that is empty; ``b""`` where there is none, or one that is too long."""
    wide = fill_nulls(pc.cast(given, pa.large_binary()), b"")
    endless = pc.greater(pc.binary_length(wide), LONGEST_STRING)
    if pc.any(endless).as_py():
        wide = pc.if_else(endless, b"", wide)
    if not len(wide):
        return np.zeros(1, "S1"), np.zeros(1, bool)
    _, ends, content = wide.buffers()
    offsets = np.frombuffer(ends, np.int64)[wide.offset : wide.offset + len(wide) + 1]
    letters = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.append(np.diff(offsets), 0)
    longest = max(int(lengths.max()), 1)
    values = _padded(letters, lengths, longest, 0).reshape(-1).view(f"S{longest}")
    return values, np.append(endless.to_numpy(zero_copy_only=False), False)


def _bag(given: pa.Array, feature: Feature) -> tuple[np.ndarray | DictionaryColumn, np.ndarray]:
    """``[rows, width]``: the first values of each row, then the missing form; and which rows have one that is too long."""
    values, lengths = flatten_lists(given)
    ids, endless = _ids(values, feature.dtype)
    rows = np.zeros(len(given), bool)
    if endless.any():
        rows |= _padded(endless, lengths, feature.width, False).any(axis=1)
    if isinstance(ids, DictionaryColumn):
        return DictionaryColumn(ids.values, _padded(ids.indices, lengths, feature.width, len(ids.values) - 1)), rows
    return _padded(ids, lengths, feature.width, MISSING_INTEGER), rows


def _vectors(given: pa.Array, width: int) -> tuple[np.ndarray, np.ndarray]:
    """``[rows, width]``, and the rows that have another number of values; a null row is all NaN, and none of those."""
    values, lengths = flatten_lists(given)
    numbers = _numbers(values)
    wrong = (lengths != width) & ~given.is_null().to_numpy(zero_copy_only=False)
    return _padded(numbers, lengths, width, np.float32(np.nan)), wrong


def _padded(values: np.ndarray, lengths: np.ndarray, width: int, filling: Any) -> np.ndarray:
    if (lengths == width).all():
        return values.reshape(-1, width)
    padded = np.full((len(lengths), width), filling, values.dtype)
    if lengths.max(initial=0) > width:
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        values = values[np.arange(len(values)) - starts < width]
    # What each length fills of a row is looked up; both sides go through their values in the same order.
    taken = np.arange(width) < np.arange(width + 1)[:, None]
    padded[taken.take(lengths, axis=0, mode="clip")] = values
    return padded

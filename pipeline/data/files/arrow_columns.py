"""Converts a table of a log to the columns of a block, and finds its faulty rows."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from ....foundation.formatting import first_line, pluralize
from ....models.schema import MISSING_INTEGER, Feature, Schema, Task
from ...config.errors import UserError
from ..columns import DictionaryColumn, EncodedColumns
from .arrow_arrays import (
    LONGEST_STRING,
    flatten_lists,
    is_list,
    pad_lists,
    to_float32,
    to_int64,
    to_single_array,
    to_strings,
)
from .label_strings import LABEL_STRINGS, LabelStringError, convert_label_strings, convert_mask, is_text_column

# For each reason, which rows it applies to, bool [rows].
RowMasks = dict[str, np.ndarray]
_MAX_LISTED_NAMES = 8
# The square of a larger number, and a sum of many such squares, overflows float32.
_LARGEST_LABEL = 1e16
# The ranker cannot compute with a larger number, and a few of them would spoil the mean and the deviation of all rows.
_LARGEST_NUMBER = 1e18
# Sums of weighted losses overflow float32 with larger weights.
_LARGEST_WEIGHT = 1e9
_POSITION = re.compile(r"(.+)\[(\d{1,3})\]")


class ColumnError(UserError):
    """A column of a log does not fit the schema.

    Args:
      column: The column's name in the log.
      message: The whole message.
    """

    def __init__(self, column: str, message: str):
        super().__init__(message)
        self.column = column


@dataclasses.dataclass
class FaultMasks:
    """Which rows of a table violate the schema, by reason. Holds only reasons that occur.

    Attributes:
      faulty: Rows that cannot be trained on.
      clamped: Rows in which a number was set to the bound that it exceeded.
    """

    faulty: RowMasks = dataclasses.field(default_factory=dict)
    clamped: RowMasks = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.faulty or self.clamped)

    def select_rows(self, rows: slice) -> FaultMasks:
        """Returns the masks of some of the rows."""
        return FaultMasks(
            *(
                {reason: mask[rows] for reason, mask in masks.items() if mask[rows].any()}
                for masks in (self.faulty, self.clamped)
            )
        )

    def add_faulty(self, reason: str, mask: np.ndarray) -> None:
        """Marks rows, or the rows of values ``[rows, width]``, as faulty."""
        _add_mask(self.faulty, reason, mask)

    def add_clamped(self, reason: str, mask: np.ndarray) -> None:
        """Marks rows, or the rows of values ``[rows, width]``, as clamped."""
        _add_mask(self.clamped, reason, mask)


def split_position(column: str) -> tuple[str, int | None]:
    """Splits the name of one of several columns of the same name into the name and the position among them.

    Example:
    >>> split_position("age[1]"), split_position("age")
    (('age', 1), ('age', None))
    """
    match = _POSITION.fullmatch(column)
    return (match[1], int(match[2])) if match else (column, None)


def list_log_columns(schema: Schema) -> list[str]:
    """Returns the names of the log's columns that a schema reads, each once."""
    labels = [name for task in schema.tasks for name in (task.label, task.mask, task.example_weight) if name]
    return list(dict.fromkeys([*(feature.log_column for feature in schema.features), *labels]))


def list_string_columns(schema: Schema) -> list[str]:
    """Returns the names of the log's columns that are read as strings, each once."""
    return list(dict.fromkeys(feature.log_column for feature in schema.features if feature.dtype == "string"))


def convert_table(
    table: pa.Table,
    schema: Schema,
    file: str,
    clamp: bool = False,
    list_columns: Callable[[], Iterable[str]] | None = None,
) -> tuple[EncodedColumns, FaultMasks]:
    """Converts a table of a log to the columns that ``schema`` describes.

    Args:
      table: Has the columns of :func:`list_log_columns`.
      schema: The features and the tasks.
      file: The file's name, for errors.
      clamp: Whether to set numbers to the bounds that they exceed. Otherwise such rows are faulty.
      list_columns: Returns the names of all columns of the file, for errors. None: the names in ``table``.

    Returns:
      The columns, with strings as dictionary columns, and the faulty and clamped rows.

    Raises:
      UserError: If a column is missing or damaged, or its type does not match the schema.
    """
    columns: EncodedColumns = {}
    masks = FaultMasks()
    for feature in schema.features:
        array = _get_column(table, feature.log_column, f"feature '{feature.name}'", file, list_columns)
        try:
            columns[feature.name] = _convert_feature(array, feature, masks, clamp)
        except IndexError as error:
            raise ColumnError(
                feature.log_column, f"{file}: column '{feature.log_column}' is damaged: {error}; replace the file"
            ) from error
        except (pa.ArrowException, TypeError, ValueError) as error:
            received = f"{array.type} ({first_line(error)})" if isinstance(error, pa.ArrowInvalid) else array.type
            raise _wrong_type(file, feature.log_column, received, _describe_feature_type(feature)) from error
    for task in schema.tasks:
        if task.label_column in columns:
            continue
        array = _get_column(table, task.label, f"the label of task '{task.name}'", file, list_columns)
        has_label = _read_mask(table, task, file, list_columns) if task.mask else None
        weight = _read_weight(table, task, file, list_columns) if task.example_weight else None
        try:
            label = _convert_label(array, has_label, task, masks, clamp)
        except LabelStringError as error:
            raise _wrong_type(file, task.label, error, f"a label ({LABEL_STRINGS})") from error
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise _wrong_type(file, task.label, array.type, "a label (a number or a boolean)") from error
        if weight is not None:
            columns[task.example_weight], label = weight, _apply_weight(weight, label, task, masks)
        columns[task.label_column] = label
    return columns, masks.select_rows(slice(None))


def blank_faulty_rows(columns: EncodedColumns, faulty: np.ndarray, schema: Schema) -> EncodedColumns:
    """Returns a copy of the columns in which faulty rows do not affect training: without labels, and with harmless features.

    All rows keep their places.

    Args:
      columns: The columns of a block.
      faulty: Which rows are faulty, bool ``[rows]``.
      schema: Says which columns are labels.
    """
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


def _get_column(
    table: pa.Table, name: str, role: str, file: str, list_columns: Callable[[], Iterable[str]] | None
) -> pa.Array:
    indices = table.schema.get_all_field_indices(name)
    if not indices:
        same_name, position = split_position(name)
        positions = table.schema.get_all_field_indices(same_name)
        if position is not None and position < len(positions) > 1:
            return to_single_array(table.column(positions[position]))
        available = list(list_columns() if list_columns else table.column_names)
        similar = difflib.get_close_matches(name, available, 1)
        shown = (", ".join(available[:_MAX_LISTED_NAMES]) or "no columns") + (
            " …" if len(available) > _MAX_LISTED_NAMES else ""
        )
        raise ColumnError(
            name,
            f"{file}: column '{name}', {role}, is missing; the file has {shown}"
            + (f"; did you mean '{similar[0]}'?" if similar else "; correct the schema or the file"),
        )
    if len(indices) > 1:
        raise ColumnError(
            name,
            f"{file}: expected one column '{name}', {role}, got {len(indices)}; rename the others, or choose "
            f"one by its position: {name}[0]",
        )
    return to_single_array(table.column(indices[0]))


def _read_mask(table: pa.Table, task: Task, file: str, list_columns: Callable[[], Iterable[str]] | None) -> np.ndarray:
    """Returns which rows have a label, bool ``[rows]``."""
    role = f"the mask of task '{task.name}'"
    array = _get_column(table, task.mask, role, file, list_columns)
    try:
        return convert_mask(array)
    except (pa.ArrowException, TypeError, ValueError) as error:
        received = error if isinstance(error, LabelStringError) else array.type
        expected = f"true where a row has a label ({LABEL_STRINGS})"
        raise _wrong_type(file, task.mask, received, expected, f", {role},") from error


def _read_weight(
    table: pa.Table, task: Task, file: str, list_columns: Callable[[], Iterable[str]] | None
) -> np.ndarray:
    """Returns the weight of each row, float32 ``[rows]``, NaN where it is missing."""
    role = f"the example_weight of task '{task.name}'"
    array = _get_column(table, task.example_weight, role, file, list_columns)
    try:
        return to_float32(array)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _wrong_type(file, task.example_weight, array.type, "numbers", f", {role},") from error


def _apply_weight(weight: np.ndarray, label: np.ndarray, task: Task, masks: FaultMasks) -> np.ndarray:
    """Returns the labels, NaN where the weight is 0.

    A missing weight is a fault only if the row has a label, because otherwise the weight has no effect.
    """
    name = task.example_weight
    with np.errstate(invalid="ignore"):
        out_of_range = np.isfinite(weight) & ((weight < 0) | (weight > _LARGEST_WEIGHT))
    masks.add_faulty(f"{name}: out of range", out_of_range)
    masks.add_faulty(f"{name}: not finite", np.isinf(weight) | (np.isnan(weight) & ~np.isnan(label)))
    return np.where(weight == 0, np.float32(np.nan), label)


def _wrong_type(file: str, column: str, received: object, expected: str, role: str = "") -> UserError:
    return ColumnError(
        column,
        f"{file}: column '{column}'{role} should be {expected}, but the file has {received}; correct the schema or the "
        "file",
    )


def _describe_feature_type(feature: Feature) -> str:
    if feature.kind == "numerical":
        return "numbers" if feature.width == 1 else f"lists of {feature.width} numbers"
    values = "strings" if feature.dtype == "string" else "whole numbers"
    return values if feature.kind == "categorical" else f"lists of {values}"


def _convert_feature(
    array: pa.Array, feature: Feature, masks: FaultMasks, clamp: bool
) -> np.ndarray | DictionaryColumn:
    if feature.kind != "numerical":
        is_bag = feature.kind == "bag"
        ids, too_long = _convert_bag(array, feature) if is_bag else _convert_ids(array, feature.dtype)
        masks.add_faulty(f"{feature.name}: string longer than {LONGEST_STRING:,} bytes", too_long)
        return ids
    if feature.width == 1 and not is_list(array.type):
        numbers = to_float32(array)
    else:
        numbers, wrong_length = _convert_vectors(array, feature.width)
        numbers = numbers if feature.width > 1 else numbers[:, 0]
        masks.add_faulty(f"{feature.name}: not {pluralize(feature.width, 'number')}", wrong_length)
    reason = f"{feature.name}: out of range"
    numbers = _check_bounds(numbers, feature.bounds, reason, masks, clamp)
    if feature.normalization != "log":
        masks.add_faulty(reason, np.isfinite(numbers) & (np.abs(numbers) > _LARGEST_NUMBER))
    # With a default, NaN is a missing value and not a fault.
    invalid = np.isinf(numbers) if feature.default is not None else ~np.isfinite(numbers)
    masks.add_faulty(f"{feature.name}: not finite", invalid)
    return numbers


def _convert_label(
    array: pa.Array, has_label: np.ndarray | None, task: Task, masks: FaultMasks, clamp: bool
) -> np.ndarray:
    """Returns the labels, NaN where there is none. ``has_label``: which rows have one; None if the task has no mask."""
    is_word = task.kind == "binary" and task.label_threshold is None and is_text_column(array.type)
    label = convert_label_strings(array) if is_word else to_float32(array)
    if has_label is not None:
        label = np.where(has_label, label, np.float32(np.nan))
    reason = f"{task.label}: out of range"
    label = _check_bounds(label, task.bounds, reason, masks, clamp)
    # The loss of a larger label is infinite.
    masks.add_faulty(
        reason, np.abs(label) > (_LARGEST_LABEL if task.kind == "regression" else np.finfo(np.float32).max)
    )
    return (
        label
        if task.label_threshold is None
        else np.where(np.isnan(label), label, label > task.label_threshold).astype(np.float32)
    )


def _check_bounds(
    numbers: np.ndarray, bounds: tuple[float, float], reason: str, masks: FaultMasks, clamp: bool
) -> np.ndarray:
    """Returns the numbers, set to the bounds that they exceed if ``clamp`` is set. NaN stays NaN."""
    low, high = bounds
    if low == -np.inf and high == np.inf:
        return numbers
    with np.errstate(invalid="ignore"):
        exceeds = (numbers < low) | (numbers > high)
    if not exceeds.any():
        return numbers
    if not clamp:
        # An infinite number has a reason of its own.
        masks.add_faulty(reason, exceeds & np.isfinite(numbers))
        return numbers
    masks.add_clamped(reason, exceeds)
    return np.clip(numbers, np.float32(low), np.float32(high))


def _convert_ids(array: pa.Array, dtype: str) -> tuple[np.ndarray | DictionaryColumn, np.ndarray]:
    """Returns ids, int64 or strings, and which of them are strings that are too long; ``[rows]`` each."""
    return to_strings(array) if dtype == "string" else (to_int64(array), np.zeros(len(array), bool))


def _convert_bag(array: pa.Array, feature: Feature) -> tuple[np.ndarray | DictionaryColumn, np.ndarray]:
    """Returns the first ids of each row, ``[rows, width]``, and which rows have a string that is too long, ``[rows]``."""
    values, lengths = flatten_lists(array)
    ids, too_long = _convert_ids(values, feature.dtype)
    long_rows = np.zeros(len(array), bool)
    if too_long.any():
        long_rows |= pad_lists(too_long, lengths, feature.width, False).any(axis=1)
    if isinstance(ids, DictionaryColumn):
        return DictionaryColumn(
            ids.values, pad_lists(ids.indices, lengths, feature.width, len(ids.values) - 1)
        ), long_rows
    return pad_lists(ids, lengths, feature.width, MISSING_INTEGER), long_rows


def _convert_vectors(array: pa.Array, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns numbers, ``[rows, width]``, and which rows have another number of values; a null row is all NaN and not wrong."""
    values, lengths = flatten_lists(array)
    numbers = to_float32(values)
    wrong_length = (lengths != width) & ~array.is_null().to_numpy(zero_copy_only=False)
    return pad_lists(numbers, lengths, width, np.nan), wrong_length


def _add_mask(masks: RowMasks, reason: str, mask: np.ndarray) -> None:
    rows = np.any(mask, axis=1) if mask.ndim == 2 else mask
    masks[reason] = masks[reason] | rows if reason in masks else rows

"""Rules for columns of numbers: timestamps, row numbers, ids, counters and plain numbers."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....foundation.formatting import pluralize
from ....models.schema import Feature
from .column_proposal import ColumnProposal, make_feature
from .id_encoding import MAX_ID_RANGE, choose_embedding_width, choose_hash_buckets, has_id_name

_TIME_NAME = re.compile(r"(?i)(^|[^a-z])(time|date|datetime|ts|at)([^a-z]|$)|timestamp")
# Numbers above this, in a column named like a time, are seconds since 1970 or finer.
_MIN_TIMESTAMP = 1e6
# Integers with few different values are categories.
_MAX_CATEGORIES, _MAX_CATEGORY = 32, 100
# Integers above this that hardly repeat are ids.
_MIN_LARGE_ID = 10_000
_MIN_NUMBERED_ROWS = 1000
# A counter has a tail: its largest value is more than this many times its median and this share of its mean.
_TAIL_FACTOR, _MEAN_DIVISOR = 20, 5
# The bounds are this many times the sample's range away from its values, so that hardly any row of the log exceeds them.
# The tail of a counter is longer in the whole log than in a sample.
_BOUND_RANGES, _TAIL_BOUND_RANGES = 10, 1000
# Up to this number, each integer has a float of its own.
_MAX_EXACT_FLOAT = 2**53


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The values of a column in a sample, and the properties that the rules use.

    Attributes:
      values: The values that are not null: int64, uint64 or float64.
      finite: The finite ones.
      is_integer: Whether the column's type is an integer or a boolean.
      has_nulls: Whether a value is null.
      low: The smallest finite value.
      median: The median of the finite values.
      high: The largest finite value.
      distinct: The number of different finite values.
    """

    values: np.ndarray
    finite: np.ndarray
    is_integer: bool
    has_nulls: bool
    low: float
    median: float
    high: float
    distinct: int

    @classmethod
    def from_array(cls, array: pa.Array) -> Numbers | None:
        """Summarizes an array of a plain type; None if it holds no finite value."""
        is_integer = not pa.types.is_floating(array.type)
        if pa.types.is_boolean(array.type):
            array = pc.cast(array, pa.int8())
        values = pc.drop_null(array).to_numpy(zero_copy_only=False)
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        # Not converted to floats, which would merge large integers.
        low, high = finite.min().item(), finite.max().item()
        distinct = len(np.unique(finite))
        return cls(values, finite, is_integer, array.null_count > 0, low, float(np.median(finite)), high, distinct)

    @property
    def has_missing(self) -> bool:
        """Whether a value is null or NaN."""
        return self.has_nulls or bool(np.isnan(self.values).any())

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers that an id can hold."""
        if self.is_integer:
            return True
        return bool(np.array_equal(self.finite, np.floor(self.finite)) and max(-self.low, self.high) < 2**63)

    @property
    def is_category(self) -> bool:
        """Whether the values look like categories. pandas stores integers with missing values as floats."""
        is_integer = self.is_integer or (self.has_missing and self.is_whole)
        return is_integer and self.distinct <= _MAX_CATEGORIES and self.low >= 0 and self.high < _MAX_CATEGORY

    @property
    def is_row_number(self) -> bool:
        """Whether the values count the rows."""
        if not self.is_integer or not self.distinct == self.values.size > _MIN_NUMBERED_ROWS:
            return False
        has_no_gaps = self.high - self.low + 1 == self.distinct
        return bool(has_no_gaps or np.mean(self.values[1:] - self.values[:-1] == 1) > 0.9)

    @property
    def has_tail(self) -> bool:
        """Whether a few values are far above the others, as in counters."""
        typical = max(self.median, float(self.finite.mean()) / _MEAN_DIVISOR, 1e-9)
        return bool(self.low >= 0 and self.high > _TAIL_FACTOR * typical)

    @property
    def num_infinite(self) -> int:
        """The number of values that are infinite as float32, the type in which a ranker reads numbers."""
        return int((np.abs(self.values.astype(np.float64)) > np.finfo(np.float32).max).sum())

    def is_id(self, name: str) -> bool:
        """Whether the values are ids, by the column's name or because they are large and hardly repeat."""
        hardly_repeats = self.distinct > 0.5 * self.finite.size and self.high > _MIN_LARGE_ID
        return self.is_whole and (has_id_name(name) or (self.is_integer and bool(hardly_repeats)))

    def format_summary(self, missing_text: str) -> str:
        """Formats the values in a few words."""
        not_finite = 1 - self.finite.size / self.values.size
        missing_text += f", {not_finite:.2%} not finite" if not_finite else ""
        kind = "integers" if self.is_integer else "numbers"
        values = pluralize(self.distinct, "different value")
        return f"{kind} from {self.low:g} to {self.high:g}, median {self.median:g}, {values}{missing_text}"


def propose_number_column(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    """Proposes a feature for a column of numbers or truth values, or leaves it out.

    Args:
      name: The column's name.
      array: A sample of its values in a plain type, at least one of them not null.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.
    """
    numbers = Numbers.from_array(array)
    if numbers is None:
        return ColumnProposal(name, str(array.type), exclusion_reason="no value is finite.")
    summary = numbers.format_summary(missing_text)
    feature = _choose_feature(name, numbers)
    if not numbers.is_integer and feature.kind == "categorical":
        summary += "; whole numbers stored as floats"
        if max(-numbers.low, numbers.high) > _MAX_EXACT_FLOAT:
            summary += ". WARNING: above 2^53, a float merges different ids; write the column as integers"
    proposal = ColumnProposal(name, summary, feature=feature)
    reason = _find_exclusion_reason(name, numbers, feature)
    return proposal.exclude(reason) if reason else proposal


def _find_exclusion_reason(name: str, numbers: Numbers, feature: Feature) -> str:
    if numbers.distinct == 1:
        return "the same value in every row."
    if _TIME_NAME.search(name) and numbers.low > _MIN_TIMESTAMP:
        return "a timestamp. Rows at serving time are later than every row in training."
    if numbers.is_row_number:
        return "a row number. Rows at serving time have numbers that no row in training has."
    if feature.kind == "numerical" and numbers.num_infinite:
        return format_infinite(numbers.num_infinite)
    return ""


def _choose_feature(name: str, numbers: Numbers) -> Feature:
    width = choose_embedding_width(numbers.distinct)
    is_id = numbers.is_id(name)
    if numbers.is_category or (is_id and numbers.low >= 0 and numbers.high < MAX_ID_RANGE):
        return make_feature(name, "categorical", num_ids=int(numbers.high) + 1, embedding_width=width)
    if is_id:
        buckets = choose_hash_buckets(numbers.distinct)
        return make_feature(name, "categorical", hash_buckets=buckets, embedding_width=width)
    return make_number_feature(name, numbers)


def make_number_feature(name: str, numbers: Numbers) -> Feature:
    """Makes a numerical feature for a column of numbers."""
    return make_feature(
        name,
        "numerical",
        # The mean and deviation of a counter depend on its few largest values. The mean and deviation of its logarithm
        # do not.
        normalization="log" if numbers.has_tail else "standard",
        default=float(f"{numbers.median:.4g}") if numbers.has_missing else None,
        **choose_bounds(float(numbers.low), float(numbers.high), numbers.has_tail),
    )


def format_infinite(count: int) -> str:
    """Formats the reason for which a column with infinite numbers is left out."""
    verb = "is" if count == 1 else "are"
    return (
        f"{pluralize(count, 'value')} of the sample {verb} infinite or beyond float32, which training refuses. Write "
        f"{'it as a missing value' if count == 1 else 'them as missing values'}."
    )


def choose_bounds(low: float, high: float, has_tail: bool = False) -> dict[str, float]:
    """Returns a ``minimum`` and a ``maximum`` far outside the values of a sample.

    A served number beyond them, such as a value in another unit, is clipped, so that the prediction does not depend on
    its size. Empty if all values are equal or the bounds exceed the range of float32.

    Args:
      low: The smallest value of the sample.
      high: The largest value.
      has_tail: Whether the column is a counter with a long tail.

    Example:
    >>> choose_bounds(18.0, 79.0)
    {'minimum': -590.0, 'maximum': 690.0}
    """
    margin = (high - low) * (_TAIL_BOUND_RANGES if has_tail else _BOUND_RANGES)
    largest = max(abs(low), abs(high)) + margin
    if not margin or largest > float(np.finfo(np.float32).max):
        return {}
    digits = 1 - math.floor(math.log10(margin))
    return {"minimum": round(low - margin, digits), "maximum": round(high + margin, digits)}

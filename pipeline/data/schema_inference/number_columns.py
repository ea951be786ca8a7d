"""Rules for columns of numbers: labels, timestamps, row numbers, ids, counters and plain numbers."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....foundation.formatting import pluralize
from ....models.schema import Feature
from .column_proposal import ColumnProposal, make_feature, make_task
from .id_encoding import MAX_ID_RANGE, choose_embedding_width, choose_hash_buckets, has_id_name

_LABEL_NAME = re.compile(
    r"(?i)^(label|target|y)\d*$|click|like|share|purchas|bought|conver|install|watch|rating|reward|outcome|is_|survived"
)
_TIME_NAME = re.compile(r"(?i)(^|[^a-z])(time|date|datetime|ts|at)([^a-z]|$)|timestamp")
# Numbers above this, in a column named like a time, are seconds since 1970 or finer.
_MIN_TIMESTAMP = 1e6
# Integers with few different values are categories, and may be labels.
_MAX_CATEGORIES, _MAX_CATEGORY, _MAX_LABEL_VALUES = 32, 100, 20
# Integers above this that hardly repeat are ids.
_MIN_LARGE_ID = 10_000
_MIN_NUMBERED_ROWS = 1000
# A counter has a tail: its largest value is more than this many times its median and this share of its mean.
_TAIL_FACTOR, _MEAN_DIVISOR = 20, 5
# The bounds are this many times the sample's range away from its values, so that hardly any row of the log exceeds them.
# The tail of a counter is longer in the whole log than in a sample.
_BOUND_RANGES, _TAIL_BOUND_RANGES = 10, 1000


@dataclasses.dataclass(frozen=True)
class _Numbers:
    """The values of a column in a sample, and the properties that the rules use."""

    values: np.ndarray
    finite: np.ndarray
    is_integer: bool
    has_nulls: bool
    low: float
    median: float
    high: float
    distinct: int

    @classmethod
    def from_array(cls, array: pa.Array) -> _Numbers | None:
        """Summarizes an array; None if it holds no finite value."""
        is_integer = pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)
        if pa.types.is_boolean(array.type):
            array = pc.cast(array, pa.int8())
        values = pc.cast(pc.drop_null(array), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        low, median, high = np.quantile(finite, [0, 0.5, 1]).tolist()
        return cls(values, finite, is_integer, array.null_count > 0, low, median, high, len(np.unique(finite)))

    @property
    def is_binary(self) -> bool:
        return self.distinct == 2 and self.low == 0 and self.high == 1

    @property
    def is_row_number(self) -> bool:
        if not self.is_integer or not self.distinct == self.values.size > _MIN_NUMBERED_ROWS:
            return False
        has_no_gaps = self.high - self.low + 1 == self.distinct
        return bool(has_no_gaps or np.mean(np.diff(self.values) == 1) > 0.9)

    @property
    def has_tail(self) -> bool:
        typical = max(self.median, float(self.finite.mean()) / _MEAN_DIVISOR, 1e-9)
        return bool(self.low >= 0 and self.high > _TAIL_FACTOR * typical)

    def is_id(self, name: str) -> bool:
        hardly_repeats = self.distinct > 0.5 * self.finite.size and self.high > _MIN_LARGE_ID
        return self.is_integer and (has_id_name(name) or bool(hardly_repeats))

    def format_summary(self, missing_text: str) -> str:
        not_finite = 1 - self.finite.size / self.values.size
        missing_text += f", {not_finite:.2%} not finite" if not_finite else ""
        kind = "integers" if self.is_integer else "numbers"
        values = pluralize(self.distinct, "different value")
        return f"{kind} from {self.low:g} to {self.high:g}, median {self.median:g}, {values}{missing_text}"


def propose_number_column(
    name: str, array: pa.Array, missing_text: str, is_label: bool, may_be_label: bool
) -> ColumnProposal:
    """Proposes a task or a feature for a column of numbers or truth values.

    Args:
      name: The column's name.
      array: A sample of its values, at least one of them not null.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.
      is_label: Whether the user named the column as a label.
      may_be_label: Whether the column's name and values may make it a label.
    """
    numbers = _Numbers.from_array(array)
    if numbers is None:
        return ColumnProposal(name, str(array.type), exclusion_reason="no value is finite.")
    summary = numbers.format_summary(missing_text)
    has_label_values = numbers.is_binary or not numbers.is_integer or numbers.distinct <= _MAX_LABEL_VALUES
    if is_label or (may_be_label and _LABEL_NAME.search(name) and has_label_values):
        return _propose_label(name, numbers, summary)
    reason = _find_exclusion_reason(name, numbers)
    if reason:
        return ColumnProposal(name, summary, exclusion_reason=reason)
    return ColumnProposal(name, summary, feature=_choose_feature(name, numbers))


def _propose_label(name: str, numbers: _Numbers, summary: str) -> ColumnProposal:
    finite = numbers.finite
    if numbers.is_binary:
        return ColumnProposal(name, f"{summary}; {finite.mean():.2%} are 1", task=make_task(name, "binary", 1.0))
    # Divided by the label's variance, the squared error of a regression has about the same weight as a cross-entropy.
    weight = float(f"{1 / max(float(finite.var()), 1e-6):.1g}")
    summary += f"; mean {finite.mean():.4g}, standard deviation {finite.std():.4g}"
    return ColumnProposal(name, summary, task=make_task(name, "regression", weight))


def _find_exclusion_reason(name: str, numbers: _Numbers) -> str:
    if numbers.distinct == 1:
        return "the same value in every row."
    if _TIME_NAME.search(name) and numbers.low > _MIN_TIMESTAMP:
        return "a timestamp. Rows at serving time are later than every row in training."
    if numbers.is_row_number:
        return "a row number. Rows at serving time have numbers that no row in training has."
    return ""


def _choose_feature(name: str, numbers: _Numbers) -> Feature:
    is_id = numbers.is_id(name)
    largest = MAX_ID_RANGE if is_id else _MAX_CATEGORY
    is_range = numbers.low >= 0 and numbers.high < largest
    width = choose_embedding_width(numbers.distinct)
    if is_range and (is_id or (numbers.is_integer and numbers.distinct <= _MAX_CATEGORIES)):
        return make_feature(name, "categorical", num_ids=int(numbers.high) + 1, embedding_width=width)
    if is_id:
        buckets = choose_hash_buckets(numbers.distinct)
        return make_feature(name, "categorical", hash_buckets=buckets, embedding_width=width)
    has_missing = numbers.has_nulls or bool(np.isnan(numbers.values).any())
    return make_feature(
        name,
        "numerical",
        # The mean and deviation of a counter depend on its few largest values. The mean and deviation of its logarithm
        # do not.
        normalization="log" if numbers.has_tail else "standard",
        default=float(f"{numbers.median:.4g}") if has_missing else None,
        **choose_bounds(numbers.low, numbers.high, numbers.has_tail),
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

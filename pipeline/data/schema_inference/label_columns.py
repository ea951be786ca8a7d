"""Rules for columns that a ranker may predict."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...config.errors import UserError
from ..files.arrow_arrays import is_number, is_text
from ..files.label_strings import LABEL_STRINGS, LabelStringError, convert_label_strings
from .column_proposal import ColumnProposal, make_task
from .column_roles import Role, find_role, is_two_valued_outcome
from .id_encoding import count_strings
from .number_columns import Numbers

_MAX_LISTED_WORDS = 3


def propose_label(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    """Proposes a task for a column that the user named as a label, or whose name is unmistakable.

    Args:
      name: The column's name.
      array: A sample of its values in a plain type.
      missing_text: The share of missing values, such as ", 5.0% missing"; empty if no value is missing. Added to the
        summary.

    Raises:
      UserError: If the values cannot be a label.
    """
    if array.null_count == len(array):
        raise UserError(f"--labels: column '{name}' has no value in the sample; name a column with values")
    if is_text(array.type):
        return _propose_words(name, array, missing_text)
    numbers = Numbers.from_array(array) if is_number(array.type) else None
    if numbers is None:
        raise UserError(
            f"--labels: column '{name}' should be a label ({LABEL_STRINGS}), but the log has "
            f"{'no finite value in it' if is_number(array.type) else 'lists'}; name another column"
        )
    summary = numbers.format_summary(missing_text)
    if numbers.low >= 0 and numbers.high <= 1 and set(np.unique(numbers.finite)) <= {0, 1}:
        share = f"{numbers.finite.mean():.2%} are 1"
        return ColumnProposal(name, f"{summary}; {share}", task=make_task(name, "binary"))
    if numbers.is_integer and numbers.distinct == 2 and (numbers.low, numbers.high) == (-1, 1):
        share = f"{(numbers.finite > 0).mean():.2%} are 1"
        return ColumnProposal(name, f"{summary}; {share}", task=make_task(name, "binary", label_threshold=0.0))
    # Divided by the label's variance, the squared error of a regression has about the same weight as a cross-entropy.
    finite = numbers.finite.astype(np.float64)
    weight = float(f"{1 / max(float(finite.var()), 1e-6):.1g}")
    summary += f"; mean {finite.mean():.4g}, standard deviation {finite.std():.4g}"
    return ColumnProposal(name, summary, task=make_task(name, "regression", weight=weight))


def find_label_role(name: str, array: pa.Array) -> Role:
    """Returns what a column may be by its name and values: a label, an outcome, the weight of a row, or something else.

    Args:
      name: The column's name.
      array: A sample of its values in a plain type.
    """
    role = find_role(name)
    if array.null_count == len(array) or not (is_number(array.type) or is_text(array.type)):
        return "other"
    if role == "weight":
        return role if is_number(array.type) else "other"
    if role == "label" and not is_binary(array):
        return "outcome"
    if role == "other" and is_two_valued_outcome(name) and pc.count_distinct(array).as_py() == 2:
        return "outcome"
    return role


def is_binary(array: pa.Array) -> bool:
    """Returns whether the values are 0 and 1, booleans, or strings that stand for them, and both occur."""
    if is_text(array.type):
        try:
            values = convert_label_strings(pc.unique(array))
        except LabelStringError:
            return False
    else:
        values = pc.unique(pc.drop_null(array)).to_numpy(zero_copy_only=False).astype(np.float64)
    return set(values[~np.isnan(values)].tolist()) == {0, 1}


def _propose_words(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    words, _ = count_strings(array)
    try:
        labels = convert_label_strings(array)
    except LabelStringError as error:
        raise UserError(
            f"--labels: column '{name}' should be a label ({LABEL_STRINGS}), but the log has {error}; write it as 0 and 1"
        ) from error
    listed = ", ".join(f"'{word}'" for word in words[:_MAX_LISTED_WORDS])
    listed += ", …" if len(words) > _MAX_LISTED_WORDS else ""
    share = float(np.nanmean(labels)) if not np.isnan(labels).all() else 0.0
    summary = f"strings {listed}, read as 0 and 1{missing_text}; {share:.2%} are 1"
    return ColumnProposal(name, summary, task=make_task(name, "binary"))

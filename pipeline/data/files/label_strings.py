"""Strings that are binary labels, such as ``true`` and ``no``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .arrow_arrays import is_text, to_float32, to_strings

POSITIVE_STRINGS, NEGATIVE_STRINGS = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")
"""The strings that are 1 and those that are 0, whatever their case. An empty string is a missing label."""

LABEL_STRINGS = f"a number, a boolean, or one of the strings {', '.join((*POSITIVE_STRINGS, *NEGATIVE_STRINGS))}"
"""What a binary label can be, for messages."""

_NUMBERS = {b"": np.nan} | {
    word.encode(): number for number, words in ((1.0, POSITIVE_STRINGS), (0.0, NEGATIVE_STRINGS)) for word in words
}


class LabelStringError(ValueError):
    """A string is no binary label. The message names the string."""


def is_text_column(kind: pa.DataType) -> bool:
    """Returns whether a column holds strings, plain or as a dictionary."""
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def convert_label_strings(array: pa.Array) -> np.ndarray:
    """Returns the labels as float32 ``[R]``: 0, 1, or NaN for a null or an empty string.

    Raises:
      LabelStringError: If a string is none of the known ones.

    Example:
    >>> convert_label_strings(pa.array(["yes", "No", None])).tolist()
    [1.0, 0.0, nan]
    """
    column, _ = to_strings(array)
    numbers = np.array([_NUMBERS.get(word.strip().lower(), -1) for word in column.values.tolist()], np.float32)
    labels = numbers[column.indices]
    if (labels < 0).any():
        word = column.values[column.indices[int(np.argmax(labels < 0))]]
        raise LabelStringError(f"the string {word.decode('utf-8', 'replace')!r}")
    return labels


def convert_mask(array: pa.Array) -> np.ndarray:
    """Returns which values of a mask are set, bool ``[R]``: a number other than 0, true, or a string that means 1.

    A null, NaN and an empty string are not set.

    Raises:
      LabelStringError: If a string is none of the known ones.
      TypeError: If the array holds neither numbers nor booleans nor strings.

    Example:
    >>> convert_mask(pa.array([1.0, 0.5, 0.0, None, np.nan])).tolist()
    [True, True, False, False, False]
    """
    numbers = convert_label_strings(array) if is_text_column(array.type) else to_float32(array)
    return np.nan_to_num(numbers, nan=0.0) != 0

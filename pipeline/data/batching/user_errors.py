"""Carries the message of a :class:`UserError` through TensorFlow.

If a Python function in a dataset raises an exception, TensorFlow raises a different error that keeps only the text.
:func:`mark_user_errors` marks the message where it is raised, and :func:`extract_user_error` finds it in TensorFlow's
error. The user then reads one clear line.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from ...config.errors import UserError

_MARKED = re.compile(r"<<(.*?)>>(?!>)", re.DOTALL)


@contextlib.contextmanager
def mark_user_errors() -> Iterator[None]:
    """Raises each :class:`UserError` of the block as an error that :func:`extract_user_error` understands."""
    try:
        yield
    except UserError as error:
        raise ValueError(f"<<{error}>>") from error


def extract_user_error(error: tf.errors.OpError) -> str:
    """Returns the message of the :class:`UserError` that ended a dataset, or "" if another error ended it."""
    match = _MARKED.search(str(error))
    return match[1] if match else ""

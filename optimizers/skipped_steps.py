"""Raises, inside the graph, an error after too many skipped steps in a row, and recognizes this error outside."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tensorflow as tf

from .step_plan import SKIPPED_IN_A_ROW


def fail_after_too_many(counts: tf.Tensor, is_finite: tf.Tensor, allowed: int, messages: Sequence[str]) -> None:
    """Raises an error that names the first bad variable if more than ``allowed`` steps in a row were skipped.

    Args:
      counts: The counts after the step, see :data:`~.step_plan.PER_VARIABLE`.
      is_finite: Whether the gradient of each variable is finite.
      allowed: Number of steps in a row that may be skipped.
      messages: One message per variable, and a last one for a learning rate that is not finite.
    """
    first_bad = tf.argmin(tf.cast(is_finite, tf.int32), output_type=tf.int32)
    first_bad = tf.where(tf.reduce_all(is_finite), len(messages) - 1, first_bad)
    fails = tf.logical_and(counts[SKIPPED_IN_A_ROW] > allowed, tf.equal(first_bad, tf.range(len(messages))))
    # One assertion per variable, because XLA does not accept a text that is chosen at run time. No branches, because
    # XLA crashed on them in programs with a sparse gradient, whose number of distinct rows is unknown. (XLA drops the
    # assertions themselves.)
    for condition, message in zip(tf.unstack(tf.logical_not(fails)), messages, strict=True):
        tf.debugging.Assert(condition, [message])


def skipped_too_often(error: tf.errors.OpError) -> str:
    """Returns the message of :func:`fail_after_too_many` in an error of a step; empty for any other error."""
    # TensorFlow escapes quotes in a message with backslashes.
    text = str(error).replace("\\", "")
    match = re.search(r"the (gradient of .*?|learning rate) was not finite.*? max_skipped_steps", text)
    return match[0] if match else ""

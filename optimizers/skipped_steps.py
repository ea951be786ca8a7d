"""The error that ends training after too many skipped steps in a row, raised in the graph and recognized outside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tensorflow as tf

from .step_plan import SKIPPED_IN_A_ROW


def fail_after_too_many(counts: tf.Tensor, is_finite: tf.Tensor, allowed: int, messages: Sequence[str]) -> None:
    """Raises, in the graph, the message of the first bad variable if more steps in a row were skipped than are allowed.

    Args:
      counts: The counts after the step, see :data:`~.step_plan.PER_VARIABLE`.
      is_finite: Whether the gradient of each variable of the step is finite.
      allowed: Steps in a row that may be skipped.
      messages: The message for each variable of the step; the last one is for a learning rate that is not finite.
    """
    first_bad = tf.argmin(tf.cast(is_finite, tf.int32), output_type=tf.int32)
    first_bad = tf.where(tf.reduce_all(is_finite), len(messages) - 1, first_bad)
    fails = tf.logical_and(counts[SKIPPED_IN_A_ROW] > allowed, tf.equal(first_bad, tf.range(len(messages))))
    # One assertion for each variable, without branches: XLA accepts no text that is chosen at run time and drops assertions, and
    # it crashed on branches beside the unknown number of distinct rows of a sparse gradient.
    for condition, message in zip(tf.unstack(tf.logical_not(fails)), messages, strict=True):
        tf.debugging.Assert(condition, [message])


def skipped_too_often(error: tf.errors.OpError) -> str:
    """The message of :func:`fail_after_too_many` in an error of a training step; "" for any other error."""
    # TensorFlow prints quotes in a message with backslashes.
    text = str(error).replace("\\", "")
    match = re.search(r"the (gradient of .*?|learning rate) was not finite.*? max_skipped_steps", text)
    return match[0] if match else ""

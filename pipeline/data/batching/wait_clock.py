"""Measures how long training waits for its input."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class WaitClock:
    """Adds up the seconds for which the reader of a dataset waits for the next element.

    The clock belongs at the very end of the pipeline. It takes the time before and after each element is requested, so
    it sees what the training step sees: nothing if an element was ready, and the whole delay if none was.

    Example:
    >>> clock = WaitClock()
    >>> dataset = clock.watch(tf.data.Dataset.range(3))
    >>> sum(1 for _ in dataset), clock.seconds >= 0
    (3, True)
    """

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="input_wait_seconds")

    @property
    def seconds(self) -> float:
        """Seconds of waiting since the clock was created."""
        return float(self._seconds)

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Returns a dataset with the same elements that this clock times.

        Do not prefetch from the result: the clock would then time the prefetching thread instead of the training step.
        """
        # A zip reads its inputs one after the other: the time, the element, the time.
        now = tf.data.Dataset.counter().map(lambda _: tf.timestamp())
        timed = tf.data.Dataset.zip((now, dataset, now))

        def add_wait(before: tf.Tensor, element: Any, after: tf.Tensor) -> Any:
            self._seconds.assign_add(after - before)
            return element

        timed = timed.map(add_wait)
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        return timed.with_options(options)

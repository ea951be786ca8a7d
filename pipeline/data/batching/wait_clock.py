"""How long training waits for its input."""

from __future__ import annotations

import tensorflow as tf


class WaitClock:
    """Adds up the seconds for which whoever reads a dataset waits for the next element.

    The clock stands at the very end of the pipeline and notes the time before and after each element is asked for, so
    that it sees what the training step sees: nothing where an element was ready, the whole delay where none was.

    Example:
    >>> clock = WaitClock()
    >>> dataset = clock.watch(tf.data.Dataset.range(3))
    >>> sum(1 for _ in dataset), clock.seconds >= 0
    (3, True)
    """

    def __init__(self):
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="input_wait_seconds")

    @property
    def seconds(self) -> float:
        """Seconds waited since the clock was made."""
        return float(self._seconds)

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The same elements, watched. Nothing may prefetch behind it, or it sees only the prefetching thread."""
        # A zip asks its parts in turn: the time, the element, the time.
        now = tf.data.Dataset.counter().map(lambda _: tf.timestamp())
        timed = tf.data.Dataset.zip((now, dataset, now))

        def note(before: tf.Tensor, element, after: tf.Tensor):
            self._seconds.assign_add(after - before)
            return element

        timed = timed.map(note)
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        return timed.with_options(options)

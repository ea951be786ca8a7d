from __future__ import annotations

import time

import tensorflow as tf

from steadyrank.pipeline.data.batching.wait_clock import WaitClock


def delay(seconds: float):
    def wait(x):
        time.sleep(seconds)
        return x

    return lambda x: tf.ensure_shape(tf.numpy_function(wait, [x], tf.int64), [])


def test_elements_pass_unchanged():
    assert list(WaitClock().watch(tf.data.Dataset.range(5)).as_numpy_iterator()) == [0, 1, 2, 3, 4]


def test_the_clock_counts_the_delay_of_a_slow_input():
    clock = WaitClock()
    list(clock.watch(tf.data.Dataset.range(5).map(delay(0.05))))
    assert clock.seconds >= 5 * 0.05


def test_the_clock_counts_nothing_for_an_element_that_is_ready():
    clock = WaitClock()
    elements = iter(clock.watch(tf.data.Dataset.range(5).map(delay(0.1)).prefetch(5)))
    next(elements)
    first = clock.seconds
    assert first >= 0.1
    # The prefetch buffer is now full. A clock that read ahead would count the time to make the other elements.
    time.sleep(2.0)
    for _ in elements:
        pass
    assert clock.seconds - first < 2 * 0.1

from __future__ import annotations

import time

import tensorflow as tf

from steadyrank.pipeline.data.batching.wait_clock import WaitClock


def slow(seconds: float):
    def element(x):
        time.sleep(seconds)
        return x

    return lambda x: tf.ensure_shape(tf.numpy_function(element, [x], tf.int64), [])


def test_elements_pass_unchanged():
    assert list(WaitClock().watch(tf.data.Dataset.range(5)).as_numpy_iterator()) == [0, 1, 2, 3, 4]


def test_a_slow_input_is_waited_for():
    clock = WaitClock()
    list(clock.watch(tf.data.Dataset.range(5).map(slow(0.05))))
    assert clock.seconds >= 5 * 0.05


def test_an_input_that_was_ready_is_not():
    clock = WaitClock()
    elements = iter(clock.watch(tf.data.Dataset.range(5).map(slow(0.1)).prefetch(5)))
    next(elements)
    first = clock.seconds
    assert first >= 0.1
    # By now the prefetch has filled up; were the clock reading ahead itself, it would count the making of the rest.
    time.sleep(2.0)
    for _ in elements:
        pass
    assert clock.seconds - first < 2 * 0.1

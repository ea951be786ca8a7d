"""What is kept of signals, against NumPy, and the faults that such counters have."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence.signal_statistics import SignalStatistics, WindowStatistics
from steadyrank.pipeline.divergence.windows import Signal, Window

# TensorFlow takes subnormal numbers for 0.
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32, allow_subnormal=False)


def expected(values: list[float], limit: float, run: int = 0) -> SignalStatistics:
    """By NumPy and by hand."""
    finite = [(value, i + 1) for i, value in enumerate(values) if math.isfinite(value)]
    bad = [i + 1 for i, value in enumerate(values) if not math.isfinite(value)]
    longest = run
    for value in values:
        run = run + 1 if not value <= limit else 0
        longest = max(longest, run)
    numbers = np.array([value for value, _ in finite], np.float64)
    return SignalStatistics(
        minimum=min(numbers, default=math.nan),
        maximum=max(numbers, default=math.nan),
        at_minimum=next((place for value, place in finite if value == min(numbers)), 0),
        at_maximum=next((place for value, place in finite if value == max(numbers)), 0),
        mean=numbers.mean() if finite else math.nan,
        deviation=numbers.std() if finite else math.nan,
        finite=len(finite),
        nonfinite=len(bad),
        first_nonfinite=min(bad, default=0),
        run=run,
        longest_run=longest,
    )


def assert_close(found: SignalStatistics, wanted: SignalStatistics) -> None:
    for field, value in vars(wanted).items():
        if field == "deviation":
            # From sums of squares: to a share of the numbers' size.
            size = max(abs(wanted.minimum), abs(wanted.maximum)) if wanted.finite else 0.0
            np.testing.assert_allclose(found.deviation, value, rtol=1e-6, atol=1e-6 * size, equal_nan=True)
        else:
            size = max(abs(wanted.minimum), abs(wanted.maximum)) if wanted.finite else 0.0
            np.testing.assert_allclose(getattr(found, field), value, rtol=1e-6, atol=1e-9 * size, err_msg=field)


def taken(window: Window):
    return tf.function(lambda a, b: window.take([Signal("a", a, 2.0), Signal("b", b)]), autograph=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.integers(0, 12))
def test_equals_numpy_in_two_windows_and_in_both_together(steps, cut):
    window = Window(4)
    step = taken(window)
    runs = {"a": 0, "b": 0}
    span = WindowStatistics()
    for part in (steps[:cut], steps[cut:]):
        for a, b in part:
            step(tf.constant(a), tf.constant(b))
        count, found = window.read()
        assert count == len(part)
        for i, (name, limit) in enumerate((("a", 2.0), ("b", math.inf))):
            if found:
                assert_close(found[name], expected([values[i] for values in part], limit, runs[name]))
                runs[name] = found[name].run
        span.add(count, found)
    assert WindowStatistics.from_dict(json.loads(json.dumps(span.to_dict()))).to_dict().keys() == span.to_dict().keys()
    if steps:
        together = span.signals
        for i, (name, limit) in enumerate((("a", 2.0), ("b", math.inf))):
            assert_close(together[name], expected([values[i] for values in steps], limit))


def test_a_run_goes_on_over_readings_and_ends():
    window = Window(4)
    step = taken(window)
    lengths = []
    for value in (1.0, 3.0, math.nan, 3.0, 2.0):
        step(tf.constant(value), tf.constant(0.0))
        reading = window.read()[1]["a"]
        lengths.append((reading.run, reading.longest_run))
    assert lengths == [(0, 0), (1, 1), (2, 2), (3, 3), (0, 3)]


def test_a_run_goes_on_in_another_process():
    first, second = Window(4), Window(4)
    taken(first)(tf.constant(3.0), tf.constant(0.0))
    second.put_back(json.loads(json.dumps(first.kept())))
    taken(second)(tf.constant(3.0), tf.constant(0.0))
    assert second.read()[1]["a"].run == 2


def test_a_step_without_a_value_leaves_everything_as_it_is():
    window = Window(4)
    step = tf.function(lambda value, there: window.take([Signal("a", value, 2.0, there)]), autograph=False)
    for value, there in ((3.0, True), (math.nan, False), (5.0, False), (4.0, True)):
        step(tf.constant(value), tf.constant(there))
    steps, found = window.read()
    assert steps == 4
    assert_close(
        found["a"], expected([3.0, 4.0], 2.0).__class__(**(vars(expected([3.0, 4.0], 2.0)) | {"at_maximum": 4}))
    )


def test_signals_may_come_in_another_order_and_late():
    window = Window(4)
    window.take([Signal("a", tf.constant(1.0))])
    window.take([Signal("b", tf.constant(7.0)), Signal("a", tf.constant(2.0))])
    window.take([Signal("b", tf.constant(5.0))])
    _, found = window.read()
    assert (found["a"].maximum, found["a"].finite, found["a"].at_maximum) == (2.0, 2, 2)
    assert (found["b"].maximum, found["b"].finite, found["b"].at_minimum) == (7.0, 2, 3)


def test_more_signals_than_there_is_room_for_are_left_out():
    window = Window(1)
    window.take([Signal("a", tf.constant(1.0)), Signal("b", tf.constant(1.0))])
    assert list(window.read()[1]) == ["a"]


def test_large_numbers_do_not_leave_the_range():
    window = Window(1)
    for value in (3e38, -3e38):
        window.take([Signal("a", tf.constant(value, tf.float32))])
    reading = window.read()[1]["a"]
    assert reading.deviation == pytest.approx(3e38, rel=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_works_inside_compiled_functions(jit_compile):
    window = Window(2)
    step = tf.function(lambda value: window.take([Signal("a", value, 2.0)]), jit_compile=jit_compile, autograph=False)
    for value in (1.0, math.nan, 5.0):
        step(tf.constant(value))
    reading = window.read()[1]["a"]
    assert (reading.nonfinite, reading.first_nonfinite, reading.at_maximum, reading.run) == (1, 2, 3, 2)


def test_each_replica_keeps_its_own_and_the_first_is_read(two_replicas):
    with two_replicas.scope():
        window = Window(2)

    @tf.function
    def step():
        def one():
            place = tf.distribute.get_replica_context().replica_id_in_sync_group
            window.take([Signal("a", tf.cast(place, tf.float32) + 1.0)])

        two_replicas.run(one)

    step()
    step()
    steps, found = window.read()
    assert (steps, found["a"].maximum, found["a"].finite) == (2, 1.0, 2)
    assert window.read()[0] == 0

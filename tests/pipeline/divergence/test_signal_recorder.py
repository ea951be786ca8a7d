"""The statistics of a recorder, compared with NumPy, and typical errors of such counters."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence import SignalStatistics, WindowStatistics
from steadyrank.pipeline.divergence.signal_recorder import Signal, SignalRecorder
from tests.pipeline.divergence.signals import summarize

# TensorFlow treats subnormal numbers as 0.
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32, allow_subnormal=False)
LIMITS = {"a": 2.0, "b": math.inf}


def assert_close(actual: SignalStatistics, expected: SignalStatistics) -> None:
    size = max(abs(expected.minimum), abs(expected.maximum)) if expected.finite_count else 0.0
    for field, value in vars(expected).items():
        # Deviations come from sums of squares, so their precision is relative to the size of the numbers.
        tolerance = 1e-6 if field == "deviation" else 1e-9
        np.testing.assert_allclose(getattr(actual, field), value, rtol=1e-6, atol=tolerance * size, err_msg=field)


def make_step(recorder: SignalRecorder):
    return tf.function(lambda a, b: recorder.record([Signal("a", a, 2.0), Signal("b", b)]), autograph=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.integers(0, 12))
def test_equals_numpy_in_two_windows_and_in_both_together(steps, cut):
    recorder = SignalRecorder(4)
    step = make_step(recorder)
    runs = {"a": 0, "b": 0}
    both = WindowStatistics()
    for part in (steps[:cut], steps[cut:]):
        for a, b in part:
            step(tf.constant(a), tf.constant(b))
        window = recorder.read()
        assert window.steps == len(part)
        for i, name in enumerate(LIMITS):
            if window.signals:
                assert_close(window.signals[name], summarize([values[i] for values in part], LIMITS[name], runs[name]))
                runs[name] = window.signals[name].run_length
        both.append(window)
    if steps:
        for i, name in enumerate(LIMITS):
            assert_close(both.signals[name], summarize([values[i] for values in steps], LIMITS[name]))


def test_a_run_continues_across_reads():
    recorder = SignalRecorder(4)
    step = make_step(recorder)
    lengths = []
    for value in (1.0, 3.0, math.nan, 3.0, 2.0):
        step(tf.constant(value), tf.constant(0.0))
        signal = recorder.read().signals["a"]
        lengths.append((signal.run_length, signal.longest_run))
    assert lengths == [(0, 0), (1, 1), (2, 2), (3, 3), (0, 3)]


def test_a_run_continues_in_another_process():
    first, second = SignalRecorder(4), SignalRecorder(4)
    make_step(first)(tf.constant(3.0), tf.constant(0.0))
    second.set_state(json.loads(json.dumps(first.get_state())))
    make_step(second)(tf.constant(3.0), tf.constant(0.0))
    assert second.read().signals["a"].run_length == 2


def test_a_reset_discards_runs():
    recorder = SignalRecorder(4)
    step = make_step(recorder)
    step(tf.constant(3.0), tf.constant(0.0))
    recorder.reset()
    step(tf.constant(3.0), tf.constant(0.0))
    window = recorder.read()
    assert (window.steps, window.signals["a"].run_length) == (1, 1)


def test_a_step_without_a_value_changes_nothing():
    recorder = SignalRecorder(4)
    step = tf.function(
        lambda value, is_present: recorder.record([Signal("a", value, 2.0, is_present)]), autograph=False
    )
    for value, is_present in ((3.0, True), (math.nan, False), (5.0, False), (4.0, True)):
        step(tf.constant(value), tf.constant(is_present))
    window = recorder.read()
    assert window.steps == 4
    assert_close(window.signals["a"], dataclasses.replace(summarize([3.0, 4.0], 2.0), maximum_step=4))


def test_signals_may_appear_late_and_in_any_order():
    recorder = SignalRecorder(4)
    recorder.record([Signal("a", tf.constant(1.0))])
    recorder.record([Signal("b", tf.constant(7.0)), Signal("a", tf.constant(2.0))])
    recorder.record([Signal("b", tf.constant(5.0))])
    signals = recorder.read().signals
    assert (signals["a"].maximum, signals["a"].finite_count, signals["a"].maximum_step) == (2.0, 2, 2)
    assert (signals["b"].maximum, signals["b"].finite_count, signals["b"].minimum_step) == (7.0, 2, 3)


def test_a_repeated_signal_is_recorded_once():
    recorder = SignalRecorder(4)
    recorder.record([Signal("a", tf.constant(1.0)), Signal("a", tf.constant(9.0))])
    assert recorder.read().signals["a"].maximum == 1.0


def test_signals_beyond_the_capacity_are_ignored():
    recorder = SignalRecorder(1)
    recorder.record([Signal("a", tf.constant(1.0)), Signal("b", tf.constant(1.0))])
    assert list(recorder.read().signals) == ["a"]


def test_large_numbers_do_not_overflow():
    recorder = SignalRecorder(1)
    for value in (3e38, -3e38):
        recorder.record([Signal("a", tf.constant(value, tf.float32))])
    assert recorder.read().signals["a"].deviation == pytest.approx(3e38, rel=1e-6)


def test_alarms_are_values_above_the_threshold_or_not_finite():
    recorder = SignalRecorder(2)
    recorder.record([Signal("a", tf.constant(1.0)), Signal("b", tf.constant(1.0))])
    recorder.set_alarm_thresholds({"a": 2.0, "unknown": 0.0}, armed=True)
    assert bool(recorder.armed)

    def check(a, b, no_room=0.0):
        signals = [Signal("a", tf.constant(a)), Signal("b", tf.constant(b)), Signal("c", tf.constant(no_room))]
        return recorder.check_alarms(signals).numpy().tolist()

    assert check(2.0, 1e30) == [False, False, False]
    assert check(2.5, math.nan, math.inf) == [True, True, True]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_works_inside_compiled_functions(jit_compile):
    recorder = SignalRecorder(2)
    step = tf.function(
        lambda value: recorder.record([Signal("a", value, 2.0)]), jit_compile=jit_compile, autograph=False
    )
    for value in (1.0, math.nan, 5.0):
        step(tf.constant(value))
    signal = recorder.read().signals["a"]
    assert (signal.nonfinite_count, signal.first_nonfinite_step, signal.maximum_step, signal.run_length) == (1, 2, 3, 2)


def test_reading_returns_the_statistics_of_the_first_replica(two_replicas):
    with two_replicas.scope():
        recorder = SignalRecorder(2)

    @tf.function
    def step():
        def step_of_replica():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            recorder.record([Signal("a", tf.cast(replica, tf.float32) + 1.0)])

        two_replicas.run(step_of_replica)

    step()
    step()
    window = recorder.read()
    assert (window.steps, window.signals["a"].maximum, window.signals["a"].finite_count) == (2, 1.0, 2)
    assert recorder.read().steps == 0


def test_a_mean_over_few_rows_is_left_out_unless_it_is_not_finite():
    recorder = SignalRecorder(4)
    step = tf.function(lambda value, rows: recorder.record([Signal("a", value, 2.0, rows=rows)]), autograph=False)
    for value, rows in ((1.0, 64), (2.0, 64), (9.0, 31), (3.0, 32), (math.nan, 1)):
        step(tf.constant(value), tf.constant(rows))
    signal = recorder.read().signals["a"]
    assert (signal.finite_count, signal.maximum, signal.nonfinite_count) == (3, 3.0, 1)
    # The usual rows continue after a read, and in another process.
    second = SignalRecorder(4)
    second.set_state(json.loads(json.dumps(recorder.get_state())))
    tf.function(lambda: second.record([Signal("a", tf.constant(9.0), rows=tf.constant(3))]), autograph=False)()
    assert second.read().signals["a"].finite_count == 0


def test_the_usual_rows_follow_the_batches():
    recorder = SignalRecorder(4)
    step = tf.function(lambda rows: recorder.record([Signal("a", tf.constant(1.0), rows=rows)]), autograph=False)
    counts = []
    for rows in (1024, *[64] * 40):
        step(tf.constant(rows))
        counts.append(recorder.read().signals["a"].finite_count)
    # 1024 falls by a tenth of the distance to 64 with each step, and is below 128 after 26 of them.
    assert counts == [1, *[0] * 26, *[1] * 14]


def test_a_recorder_adds_no_value_that_is_not_finite():
    tf.debugging.enable_check_numerics()
    try:
        recorder = SignalRecorder(2)

        @tf.function(autograph=False)
        def step(value):
            signals = [Signal("a", value), Signal("b", value, 2.0)]
            alarms = recorder.check_alarms(signals)
            recorder.record(signals)
            return alarms

        step(tf.constant(1.0))
        recorder.set_alarm_thresholds({"a": math.inf, "b": 0.5}, armed=True)
        assert step(tf.constant(1.0)).numpy().tolist() == [False, True]
        assert recorder.read().signals["a"].maximum == 1.0
    finally:
        tf.debugging.disable_check_numerics()

"""Records statistics of signals inside the training step.

A signal is a scalar per step, such as the loss of a task. For each signal, the recorder stores the extremes and their
steps, the mean and deviation, the number of values that are not finite, and the number of consecutive steps above the
signal's limit. So a reader detects a spike of a single step even after a hundred steps. The statistics are a few small
variables. A step updates them with vector operations, for any number of signals.

The mean over a few rows varies more than the mean over many. The last batch of an epoch is often short, so a signal may
carry its number of rows: a step with less than half of the usual rows counts only if its value is not finite.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .signal_statistics import SignalStatistics, WindowStatistics

# Columns of the two tables. Each row is a signal.
_MINIMUM, _MAXIMUM, _SUM, _SQUARES, _USUAL_ROWS = range(5)
_FINITE, _MINIMUM_STEP, _MAXIMUM_STEP, _NONFINITE, _FIRST_NONFINITE_STEP, _LONGEST_RUN, _RUN_LENGTH = range(7)
_NO_STEP = -1
# Instead of infinity, which would end a training that checks every value, as after tf.debugging.enable_check_numerics().
_LARGEST = sys.float_info.max
# A mean over less than this share of the usual rows is left out. The usual rows follow each step by this weight.
_SHORT_SHARE, _ROWS_WEIGHT = 0.5, 0.1


class Signal(NamedTuple):
    """A scalar measurement of one step.

    Attributes:
      name: ``kind/subject``, such as ``loss/click``.
      value: The scalar. NaN and infinity are counted, but do not enter the statistics of the finite values.
      limit: Consecutive steps above the limit, or not finite, form a run. Default: no limit.
      is_present: A scalar tensor: whether the step has a value. Default: every step has one.
      rows: A scalar tensor: the number of rows that the value is a mean of. Default: unknown.
    """

    name: str
    value: tf.Tensor
    limit: float = math.inf
    is_present: tf.Tensor | None = None
    rows: tf.Tensor | None = None


class SignalRecorder(tf.Module):
    """Accumulates the statistics of signals over steps.

    Args:
      capacity: Largest number of signals. Further signals are ignored. Default 1024.

    Attributes:
      steps: Variable: the number of steps since the last :meth:`read`.
      armed: Variable: whether an alarm may save the step.
    """

    def __init__(self, capacity: int = 1024):
        super().__init__(name="signal_recorder")
        self._slots: dict[str, int] = {}
        self._capacity = capacity

        def make_variable(name: str, value: np.ndarray) -> tf.Variable:
            # Each replica has its own copy, and reading uses the first one, so a step requires no communication.
            return tf.Variable(
                value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self._numbers = make_variable("numbers", _make_empty_numbers(capacity))
        self._integers = make_variable("integers", _make_empty_integers(capacity))
        self.steps = make_variable("steps", np.zeros((), np.int64))
        self._thresholds = make_variable("thresholds", np.full(capacity + 1, _LARGEST))
        self.armed = make_variable("armed", np.zeros((), np.bool_))

    @property
    def names(self) -> list[str]:
        """The names of all signals so far."""
        return list(self._slots)

    def record(self, signals: Sequence[Signal]) -> None:
        """Records the signals of one step, in the graph. If a name occurs twice, the first signal counts."""
        by_slot: dict[int, Signal] = {}
        for signal in signals:
            slot = self._find_slot(signal.name)
            if slot is not None:
                by_slot.setdefault(slot, signal)
        if not by_slot:
            return
        slots, recorded = list(by_slot), list(by_slot.values())
        values, is_present = _stack_values(recorded)
        limits = tf.constant([min(signal.limit, _LARGEST) for signal in recorded], tf.float64)
        rows = tf.stack([tf.cast(0 if signal.rows is None else signal.rows, tf.float64) for signal in recorded])
        count_step = self.steps.assign_add(1, read_value=False)
        with tf.control_dependencies([count_step] if count_step is not None else []):
            step = tf.convert_to_tensor(self.steps)
        numbers, integers = tf.convert_to_tensor(self._numbers), tf.convert_to_tensor(self._integers)
        operands = (tf.gather(numbers, slots), tf.gather(integers, slots), values, limits, is_present, rows)
        updated = _update(*operands, step)
        indices = [[slot] for slot in slots]
        for variable, table, update in zip((self._numbers, self._integers), (numbers, integers), updated, strict=True):
            variable.assign(tf.tensor_scatter_nd_update(table, indices, update), read_value=False)

    def read(self) -> WindowStatistics:
        """Returns the statistics of the steps since the last call and starts a new window.

        Runs and the usual rows continue across windows.
        """
        numbers, integers, steps = (
            tf.convert_to_tensor(variable).numpy() for variable in (self._numbers, self._integers, self.steps)
        )
        empty = _make_empty_integers(self._capacity)
        empty[:, _RUN_LENGTH] = empty[:, _LONGEST_RUN] = integers[:, _RUN_LENGTH]
        empty_numbers = _make_empty_numbers(self._capacity)
        empty_numbers[:, _USUAL_ROWS] = numbers[:, _USUAL_ROWS]
        self._numbers.assign(empty_numbers)
        self._integers.assign(empty)
        self.steps.assign(0)
        signals = {name: _make_statistics(numbers[slot], integers[slot]) for name, slot in self._slots.items()}
        return WindowStatistics(int(steps), signals)

    def reset(self) -> None:
        """Discards all statistics, including runs."""
        self.set_state(EMPTY_STATE)

    def set_alarm_thresholds(self, thresholds: Mapping[str, float], armed: bool) -> None:
        """Sets the thresholds above which signals raise an alarm. A signal that is not finite always raises one.

        Args:
          thresholds: The thresholds by signal. Signals without a record yet are ignored.
          armed: Whether an alarm may save the step.
        """
        by_slot = np.full(self._capacity + 1, _LARGEST)
        for name, threshold in thresholds.items():
            if name in self._slots:
                by_slot[self._slots[name]] = min(threshold, _LARGEST)
        self._thresholds.assign(by_slot)
        self.armed.assign(armed)

    def check_alarms(self, signals: Sequence[Signal]) -> tf.Tensor:
        """Returns, in the graph, whether each signal of the traced step raises an alarm."""
        slots = [self._find_slot(signal.name) for signal in signals]
        # The last threshold is for signals beyond the capacity.
        thresholds = tf.gather(
            tf.convert_to_tensor(self._thresholds), [self._capacity if slot is None else slot for slot in slots]
        )
        values, is_present = _stack_values(signals)
        return is_present & ((values > thresholds) | ~tf.math.is_finite(values))

    def get_state(self) -> dict[str, Any]:
        """Returns all statistics as plain types."""
        numbers, integers = (tf.convert_to_tensor(table).numpy() for table in (self._numbers, self._integers))
        rows = {name: [numbers[slot].tolist(), integers[slot].tolist()] for name, slot in self._slots.items()}
        return {"steps": int(tf.convert_to_tensor(self.steps)), "signals": rows}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        numbers, integers = _make_empty_numbers(self._capacity), _make_empty_integers(self._capacity)
        for name, row in state["signals"].items():
            slot = self._find_slot(name)
            if slot is not None:
                numbers[slot], integers[slot] = row
        self._numbers.assign(numbers)
        self._integers.assign(integers)
        self.steps.assign(state["steps"])

    def _find_slot(self, name: str) -> int | None:
        """Returns the row of a signal and assigns one to a new signal; None beyond the capacity."""
        if name in self._slots or len(self._slots) < self._capacity:
            return self._slots.setdefault(name, len(self._slots))
        return None


EMPTY_STATE: Mapping[str, Any] = {"steps": 0, "signals": {}}
"""The state of an empty recorder."""


def _stack_values(signals: Sequence[Signal]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the values of the signals as float64, and whether they are present."""
    values = tf.stack([tf.cast(tf.stop_gradient(signal.value), tf.float64) for signal in signals])
    is_present = [tf.constant(True) if signal.is_present is None else signal.is_present for signal in signals]
    return values, tf.stack(is_present)


def _update(
    numbers: tf.Tensor,
    integers: tf.Tensor,
    values: tf.Tensor,
    limits: tf.Tensor,
    is_present: tf.Tensor,
    rows: tf.Tensor,
    step: tf.Tensor,
) -> list[tf.Tensor]:
    """Returns the rows of signals after one more step: numbers ``[signals, 5]`` and integers ``[signals, 7]``."""
    minimum, maximum, total, squares, usual_rows = tf.unstack(numbers, axis=1)
    finite, minimum_step, maximum_step, nonfinite, first_nonfinite_step, longest_run, run_length = tf.unstack(
        integers, axis=1
    )
    # NaN compares as neither below nor above a number, so it never becomes an extreme.
    is_nonfinite = is_present & ~tf.math.is_finite(values)
    has_rows = is_present & (rows > 0)
    is_present = is_nonfinite | (is_present & ~(has_rows & (rows < _SHORT_SHARE * usual_rows)))
    is_finite = is_present & ~is_nonfinite
    mean_rows = tf.where(usual_rows > 0, usual_rows + _ROWS_WEIGHT * (rows - usual_rows), rows)
    finite_values = tf.where(is_finite, values, 0.0)
    is_lower, is_higher = is_finite & (values < minimum), is_finite & (values > maximum)
    is_above = is_nonfinite | (is_finite & (values > limits))
    run_length = tf.where(is_present, tf.where(is_above, run_length + 1, 0), run_length)
    return [
        tf.stack(
            [
                tf.where(is_lower, values, minimum),
                tf.where(is_higher, values, maximum),
                total + finite_values,
                squares + tf.square(finite_values),
                tf.where(has_rows, mean_rows, usual_rows),
            ],
            axis=1,
        ),
        tf.stack(
            [
                finite + tf.cast(is_finite, tf.int64),
                tf.where(is_lower, step, minimum_step),
                tf.where(is_higher, step, maximum_step),
                nonfinite + tf.cast(is_nonfinite, tf.int64),
                tf.where(is_nonfinite & (first_nonfinite_step == _NO_STEP), step, first_nonfinite_step),
                tf.maximum(longest_run, run_length),
                run_length,
            ],
            axis=1,
        ),
    ]


def _make_empty_numbers(capacity: int) -> np.ndarray:
    return np.tile(np.array([_LARGEST, -_LARGEST, 0, 0, 0], np.float64), (capacity, 1))


def _make_empty_integers(capacity: int) -> np.ndarray:
    empty = np.zeros((capacity, 7), np.int64)
    empty[:, [_MINIMUM_STEP, _MAXIMUM_STEP, _FIRST_NONFINITE_STEP]] = _NO_STEP
    return empty


def _make_statistics(numbers: np.ndarray, integers: np.ndarray) -> SignalStatistics:
    count = int(integers[_FINITE])
    mean = float(numbers[_SUM]) / count if count else math.nan
    variance = float(numbers[_SQUARES]) / count - mean**2 if count else math.nan
    return SignalStatistics(
        minimum=float(numbers[_MINIMUM]) if count else math.nan,
        maximum=float(numbers[_MAXIMUM]) if count else math.nan,
        minimum_step=max(int(integers[_MINIMUM_STEP]), 0),
        maximum_step=max(int(integers[_MAXIMUM_STEP]), 0),
        mean=mean,
        deviation=math.sqrt(max(variance, 0.0)) if count else math.nan,
        finite_count=count,
        nonfinite_count=int(integers[_NONFINITE]),
        first_nonfinite_step=max(int(integers[_FIRST_NONFINITE_STEP]), 0),
        run_length=int(integers[_RUN_LENGTH]),
        longest_run=int(integers[_LONGEST_RUN]),
    )

"""What a training step measures, kept inside the step until somebody reads it.

A signal is a scalar of each step: a task's loss, the share of a layer's units that are dead. Of each the window keeps enough
that a spike of one step is seen though nobody looks for a hundred steps: extremes with their places, mean, deviation, what was
not finite and where that began, and how long the signal has been above its limit. Everything lives in three small variables;
a step updates them with operations on vectors, whatever the number of signals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .signal_statistics import SignalStatistics

_MINIMUM, _MAXIMUM, _SUM, _SQUARES = range(4)
_FINITE, _AT_MINIMUM, _AT_MAXIMUM, _NONFINITE, _FIRST_NONFINITE, _LONGEST, _RUN = range(7)
# No place yet.
_NOWHERE = -1


class Signal(NamedTuple):
    """A scalar of one step.

    Attributes:
      name: ``kind/subject``, such as ``loss/click``.
      value: The scalar; NaN and infinities are counted and poison nothing.
      limit: Steps with a value above it, or with one that is not finite, are counted as a run. Default: no limit.
      there: A scalar, whether the step has a value at all. None: always.
    """

    name: str
    value: tf.Tensor
    limit: float = math.inf
    there: tf.Tensor | None = None


class Window(tf.Module):
    """Keeps signals from step to step.

    Args:
      capacity: How many signals there may be; more are left out.
    """

    def __init__(self, capacity: int = 1024):
        super().__init__(name="window")
        self._slots: dict[str, int] = {}
        self._capacity = capacity

        def variable(name: str, value: np.ndarray) -> tf.Variable:
            # Each replica keeps its own, and the first one's are read: nothing is sent between replicas in a step.
            return tf.Variable(
                value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self._numbers = variable("numbers", _no_numbers(capacity))
        self._integers = variable("integers", _no_integers(capacity))
        self.steps = variable("steps", np.zeros((), np.int64))
        self._thresholds = variable("thresholds", np.full(capacity + 1, np.inf))
        self.armed = variable("armed", np.zeros((), np.bool_))
        """Whether an alarm may save the step."""

    def _slot(self, name: str) -> int | None:
        """The place of a signal, given when it first comes; None when there is no room."""
        if name in self._slots or len(self._slots) < self._capacity:
            return self._slots.setdefault(name, len(self._slots))
        return None

    def kept(self) -> dict[str, Any]:
        """Everything that it holds, in plain types; :meth:`put_back` is the inverse."""
        numbers, integers = (tf.convert_to_tensor(each).numpy() for each in (self._numbers, self._integers))
        rows = {name: [numbers[slot].tolist(), integers[slot].tolist()] for name, slot in self._slots.items()}
        return {"steps": int(tf.convert_to_tensor(self.steps)), "signals": rows}

    def put_back(self, kept: Mapping[str, Any]) -> None:
        """Goes on where another window stood."""
        numbers, integers = _no_numbers(self._capacity), _no_integers(self._capacity)
        for name, (of_name, integers_of_name) in kept["signals"].items():
            slot = self._slot(name)
            if slot is not None:
                numbers[slot], integers[slot] = of_name, integers_of_name
        self._numbers.assign(numbers)
        self._integers.assign(integers)
        self.steps.assign(kept["steps"])

    def begin_anew(self) -> None:
        """Forgets all that was measured, runs as well."""
        self.put_back({"steps": 0, "signals": {}})

    def set_alarms(self, thresholds: Mapping[str, float], armed: bool) -> None:
        """From now on a signal above its threshold, or not finite, raises an alarm; others if they are not finite."""
        kept = np.full(self._capacity + 1, np.inf)
        for name, threshold in thresholds.items():
            if name in self._slots:
                kept[self._slots[name]] = threshold
        self._thresholds.assign(kept)
        self.armed.assign(armed)

    def alarms(self, signals: Sequence[Signal]) -> tf.Tensor:
        """For each signal of the step that is traced whether it raises an alarm."""
        slots = [self._slot(signal.name) for signal in signals]
        # The last threshold is that of signals for which there is no room.
        thresholds = tf.gather(
            tf.convert_to_tensor(self._thresholds), [self._capacity if slot is None else slot for slot in slots]
        )
        values, there = _values(signals)
        return there & ((values > thresholds) | ~tf.math.is_finite(values))

    def take(self, signals: Sequence[Signal]) -> None:
        """Takes one step's signals, in the graph. A name that comes twice is taken once, the first time."""
        by_slot: dict[int, Signal] = {}
        for signal in signals:
            slot = self._slot(signal.name)
            if slot is not None:
                by_slot.setdefault(slot, signal)
        if not by_slot:
            return
        slots, chosen = list(by_slot), list(by_slot.values())
        values, there = _values(chosen)
        limits = tf.constant([signal.limit for signal in chosen], tf.float64)
        steps = self.steps.assign_add(1, read_value=False)
        with tf.control_dependencies([steps] if steps is not None else []):
            place = tf.convert_to_tensor(self.steps)
        numbers, integers = tf.convert_to_tensor(self._numbers), tf.convert_to_tensor(self._integers)
        new = _after(tf.gather(numbers, slots), tf.gather(integers, slots), values, limits, there, place)
        rows = [[slot] for slot in slots]
        for kept, old, part in zip((self._numbers, self._integers), (numbers, integers), new, strict=True):
            kept.assign(tf.tensor_scatter_nd_update(old, rows, part), read_value=False)

    def read(self) -> tuple[int, dict[str, SignalStatistics]]:
        """The steps since the last reading, and each signal over them; runs go on, everything else starts anew."""
        numbers, integers, steps = (
            tf.convert_to_tensor(kept).numpy() for kept in (self._numbers, self._integers, self.steps)
        )
        empty = _no_integers(self._capacity)
        empty[:, _RUN] = empty[:, _LONGEST] = integers[:, _RUN]
        self._numbers.assign(_no_numbers(self._capacity))
        self._integers.assign(empty)
        self.steps.assign(0)
        return int(steps), {name: _reading(numbers[slot], integers[slot]) for name, slot in self._slots.items()}


def _values(signals: Sequence[Signal]) -> tuple[tf.Tensor, tf.Tensor]:
    """The signals' values, float64, and whether they are there."""
    values = tf.stack([tf.cast(tf.stop_gradient(signal.value), tf.float64) for signal in signals])
    return values, tf.stack([tf.constant(True) if signal.there is None else signal.there for signal in signals])


def _after(
    numbers: tf.Tensor, integers: tf.Tensor, values: tf.Tensor, limits: tf.Tensor, there: tf.Tensor, place: tf.Tensor
) -> list[tf.Tensor]:
    """What is kept of some signals after one more step; ``[signals, …]`` each."""
    low, high, total, squares = tf.unstack(numbers, axis=1)
    finite, at_low, at_high, nonfinite, first, longest, run = tf.unstack(integers, axis=1)
    # NaN is neither below nor above a number, and so no extreme.
    good = there & tf.math.is_finite(values)
    bad = there & ~tf.math.is_finite(values)
    sound = tf.where(good, values, 0.0)
    lower, higher = good & (values < low), good & (values > high)
    # Not as the opposite of being below: TensorFlow rewrites that to being above, which NaN is not.
    out = there & ((values > limits) | tf.math.is_nan(values))
    run = tf.where(there, tf.where(out, run + 1, 0), run)
    return [
        tf.stack(
            [
                tf.where(lower, values, low),
                tf.where(higher, values, high),
                total + sound,
                squares + tf.square(sound),
            ],
            axis=1,
        ),
        tf.stack(
            [
                finite + tf.cast(good, tf.int64),
                tf.where(lower, place, at_low),
                tf.where(higher, place, at_high),
                nonfinite + tf.cast(bad, tf.int64),
                tf.where(bad & (first == _NOWHERE), place, first),
                tf.maximum(longest, run),
                run,
            ],
            axis=1,
        ),
    ]


def _no_numbers(capacity: int) -> np.ndarray:
    return np.tile(np.array([np.inf, -np.inf, 0, 0], np.float64), (capacity, 1))


def _no_integers(capacity: int) -> np.ndarray:
    empty = np.zeros((capacity, 7), np.int64)
    empty[:, [_AT_MINIMUM, _AT_MAXIMUM, _FIRST_NONFINITE]] = _NOWHERE
    return empty


def _reading(numbers: np.ndarray, integers: np.ndarray) -> SignalStatistics:
    count = int(integers[_FINITE])
    mean = float(numbers[_SUM]) / count if count else math.nan
    variance = float(numbers[_SQUARES]) / count - mean**2 if count else math.nan
    return SignalStatistics(
        minimum=float(numbers[_MINIMUM]) if count else math.nan,
        maximum=float(numbers[_MAXIMUM]) if count else math.nan,
        at_minimum=max(int(integers[_AT_MINIMUM]), 0),
        at_maximum=max(int(integers[_AT_MAXIMUM]), 0),
        mean=mean,
        deviation=math.sqrt(max(variance, 0.0)) if count else math.nan,
        finite=count,
        nonfinite=int(integers[_NONFINITE]),
        first_nonfinite=max(int(integers[_FIRST_NONFINITE]), 0),
        run=int(integers[_RUN]),
        longest_run=int(integers[_LONGEST]),
    )

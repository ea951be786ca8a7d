"""Saves a training step from inside its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..keras_compat import list_model_variables, list_optimizer_variables
from ..signal_recorder import Signal
from .batch_structure import flatten_batch
from .bundle import OPTIMIZER, ROWS, WEIGHTS
from .store import Bundles


@dataclasses.dataclass(frozen=True)
class TracedStep:
    """A training step during tracing, before its optimizer changes variables.

    Attributes:
      model: The model.
      batch: The argument of ``train_step``.
      early_values: Values before the step of the variables that the model itself changes, by the variable's ``id``.
      gradients: Gradients of the trainable variables that have one.
      signals: The signals so far.
      alarms: Whether each of these signals raises an alarm.
      window_step: The step's number in the current window, counted from 1.
    """

    model: Any
    batch: Any
    early_values: Mapping[int, tf.Tensor]
    gradients: Sequence[Any]
    signals: Sequence[Signal]
    alarms: tf.Tensor
    window_step: tf.Tensor


def save_traced_step(bundles: Bundles, step: TracedStep, to_training_step: Callable[[int], int]) -> tf.Tensor:
    """Makes the operation that saves a step. Run it only after an alarm, before the optimizer changes variables.

    Args:
      bundles: Saves the step.
      step: The step.
      to_training_step: Converts ``window_step`` to the training step.
    """
    touched_rows = _find_touched_rows(step.gradients)
    tensors: dict[str, tf.Tensor] = {}
    counts = {}
    for kind, variables in (
        (WEIGHTS, list_model_variables(step.model)),
        (OPTIMIZER, list_optimizer_variables(step.model.optimizer)),
    ):
        counts[kind] = len(variables)
        for i, variable in enumerate(variables):
            rows = touched_rows.get(tuple(variable.shape))
            early_value = step.early_values.get(id(variable))
            value = tf.convert_to_tensor(variable) if early_value is None else early_value
            tensors[f"{kind}/{i}"] = value if rows is None else tf.gather(value, rows)
            if rows is not None:
                tensors[f"{ROWS}/{kind}/{i}"] = rows
    structure, leaves = flatten_batch(step.batch)
    tensors |= leaves
    names = [signal.name for signal in step.signals]
    keys = list(tensors)

    def write(window_step: np.ndarray, alarms: np.ndarray, values: np.ndarray, *arrays: np.ndarray) -> np.int64:
        metadata = {
            "alarms": [name for name, is_raised in zip(names, alarms, strict=True) if is_raised],
            "signals": dict(zip(names, map(float, values), strict=True)),
            "batch": structure,
            **counts,
        }
        # NumPy saves strings of fixed width without pickling.
        plain = (array.astype("S") if array.dtype == object else array for array in arrays)
        bundles.save(to_training_step(int(window_step)), metadata, dict(zip(keys, plain, strict=True)))
        return np.int64(0)

    values = tf.stack([tf.cast(signal.value, tf.float64) for signal in step.signals])
    return tf.numpy_function(write, [step.window_step, step.alarms, values, *tensors.values()], tf.int64)


def _find_touched_rows(gradients: Sequence[Any]) -> dict[tuple[int, ...], tf.Tensor]:
    """Returns, for each shape of tables with sparse gradients, the rows that the gradients of these tables touch."""
    rows_by_shape: dict[tuple[int, ...], list[tf.Tensor]] = {}
    for gradient in gradients:
        if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is not None:
            shape = tf.get_static_value(gradient.dense_shape)
            if shape is not None:
                rows_by_shape.setdefault(tuple(map(int, shape)), []).append(tf.cast(gradient.indices, tf.int64))
    return {shape: tf.unique(tf.concat(rows, axis=0))[0] for shape, rows in rows_by_shape.items()}

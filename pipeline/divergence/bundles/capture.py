"""Saves a training step from inside its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..keras_compat import list_model_variables, list_variables_of_optimizers
from ..signal_recorder import Signal
from .bundle import OPTIMIZER, ROWS, WEIGHTS
from .store import Bundles


@dataclasses.dataclass(frozen=True)
class TracedStep:
    """A training step during tracing, before its optimizer changes variables.

    Attributes:
      structure, tensors: The argument of ``train_step``, as :func:`~.batch_structure.flatten_batch` returns it.
      signals: The signals so far.
      alarms: Whether each of these signals raises an alarm.
      window_step: The step's number in the current window, counted from 1.
    """

    structure: Any
    tensors: Mapping[str, tf.Tensor]
    signals: Sequence[Signal]
    alarms: tf.Tensor
    window_step: tf.Tensor


@dataclasses.dataclass(frozen=True)
class VariableValues:
    """The values of a model's variables before a step.

    Attributes:
      tensors: The values by name in ``arrays.npz``.
      counts: The number of variables of each kind.
    """

    tensors: Mapping[str, tf.Tensor]
    counts: Mapping[str, int]


def read_variables(model: Any, early_values: Mapping[int, tf.Tensor], gradients: Sequence[Any]) -> VariableValues:
    """Reads the variables that are required to repeat a step.

    Args:
      model: The model.
      early_values: Values before the step of the variables that the model itself changes, by the variable's ``id``.
      gradients: Gradients of the trainable variables that have one.
    """
    touched_rows = _find_touched_rows(gradients)
    tensors: dict[str, tf.Tensor] = {}
    counts = {}
    for kind, variables in (
        (WEIGHTS, list_model_variables(model)),
        (OPTIMIZER, list_variables_of_optimizers(model)),
    ):
        counts[kind] = len(variables)
        for i, variable in enumerate(variables):
            rows = touched_rows.get(tuple(variable.shape))
            early_value = early_values.get(id(variable))
            if rows is not None:
                tensors[f"{ROWS}/{kind}/{i}"] = rows
                tensors[f"{kind}/{i}"] = tf.gather(variable if early_value is None else early_value, rows)
            else:
                tensors[f"{kind}/{i}"] = tf.convert_to_tensor(variable) if early_value is None else early_value
    return VariableValues(tensors, counts)


def save_traced_step(
    bundles: Bundles, step: TracedStep, variables: VariableValues, to_training_step: Callable[[int], int]
) -> tf.Tensor:
    """Makes the operation that saves a step. Run it only after an alarm.

    Args:
      bundles: Saves the step.
      step: The step.
      variables: The values before the step.
      to_training_step: Converts ``window_step`` to the training step.
    """
    tensors = {**variables.tensors, **step.tensors}
    names = [signal.name for signal in step.signals]
    keys = list(tensors)

    def write(window_step: np.ndarray, alarms: np.ndarray, values: np.ndarray, *arrays: np.ndarray) -> np.int64:
        metadata = {
            "alarms": [name for name, is_raised in zip(names, alarms, strict=True) if is_raised],
            "signals": dict(zip(names, map(float, values), strict=True)),
            "batch": step.structure,
            **variables.counts,
        }
        with bundles.problems.guard("save bad steps"):
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

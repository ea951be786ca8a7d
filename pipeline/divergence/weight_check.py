"""Checks that a model's weights are finite.

A check between two steps reads small variables whole. Of a large variable, such as an embedding table, it reads a part,
and the next check reads the next part. If a measurement of the steps was not finite, and at the end of a fit, the check
reads everything. So checks cost little, and weights that are not finite are found even if no loss shows them: a ReLU
turns NaN into 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from .keras_compat import (
    get_layer_name,
    get_variable_path,
    list_model_variables,
    list_optimizer_variables,
    runs_in_tensorflow,
    uses_sessions,
)
from .signal_statistics import WindowStatistics

# A variable of up to this many cells is read whole. Of a larger one, each check reads this many cells.
_PART_CELLS = 1 << 18
# A whole read takes parts of this size, so that it needs little memory.
_BLOCK_CELLS = 1 << 22
# The kinds of signals that show where values that are not finite may have reached the weights.
_CAUSES = ("loss", "logged_loss", "logged_value", "activation", "gradient", "parameter")


class WeightCheck:
    """Finds the layers of one model with weights that are not finite."""

    def __init__(self) -> None:
        self._checks = 0
        self._constant_ids: set[int] = set()

    def begin(self, model: Any) -> None:
        """Begins a fit. Variables that are not trained and not finite from the start are constants, such as masks."""
        self._constant_ids = set()
        if getattr(model, "built", True):
            fixed = [variable for variable in _list_variables(model) if not getattr(variable, "trainable", True)]
            self._constant_ids = {id(variable) for variable in fixed if not _is_finite(model, variable, _BLOCK_CELLS)}

    def find_broken_layers(self, model: Any, read_all: bool) -> list[str]:
        """Lists the layers with weights that are not finite, in the model's order.

        Args:
          model: The model.
          read_all: Whether to read all cells of large variables.
        """
        _synchronize(model)
        self._checks += 1
        layers: dict[str, None] = {}
        for variable in _list_variables(model):
            if id(variable) in self._constant_ids:
                continue
            if not (_is_finite(model, variable, _BLOCK_CELLS) if read_all else self._is_part_finite(model, variable)):
                layers[get_layer_name(get_variable_path(variable), model.name)] = None
        return list(layers)

    def _is_part_finite(self, model: Any, variable: Any) -> bool:
        blocks = list(_list_blocks(variable.shape, _PART_CELLS))
        if uses_sessions():
            # A session cannot read a part without a new operation, which may change the random numbers of later ones.
            return len(blocks) > 1 or _is_finite(model, variable, _PART_CELLS)
        return _is_block_finite(model, variable, blocks[self._checks % len(blocks)])


def find_cause(window: WindowStatistics) -> int:
    """Returns the first step of a window with a measurement that is not finite; 0 if all are finite."""
    steps = [
        signal.first_nonfinite_step
        for name, signal in window.signals.items()
        if name.partition("/")[0] in _CAUSES and signal.nonfinite_count
    ]
    return min(steps, default=0)


def has_finite_state(model: Any, optimizer_variables: Iterable[Any] | None = None) -> bool:
    """Returns whether all trained weights and all variables of optimizers are finite, and no other weight is NaN.

    Args:
      model: The model.
      optimizer_variables: The variables of its optimizers. Default: those of ``model.optimizer``.
    """
    if optimizer_variables is None:
        optimizer_variables = list_optimizer_variables(model.optimizer)
    _synchronize(model)
    trained_ids = {id(variable) for variable in model.trainable_variables}
    others = [variable for variable in _list_variables(model) if id(variable) not in trained_ids]
    variables = filter(_is_floating, [*model.trainable_variables, *optimizer_variables])
    return all(_is_finite(model, variable, _BLOCK_CELLS) for variable in variables) and not any(
        np.isnan(_read(model, variable)).any() for variable in others
    )


def _list_variables(model: Any) -> list[Any]:
    """Lists the distinct floating-point variables of a model, without the states of metrics."""
    metric_ids = {id(variable) for metric in model.metrics for variable in metric.variables}
    variables = {id(variable): variable for variable in list_model_variables(model)}
    return [variable for key, variable in variables.items() if key not in metric_ids and _is_floating(variable)]


def _is_floating(variable: Any) -> bool:
    try:
        return tf.as_dtype(variable.dtype).is_floating and all(size is not None for size in variable.shape)
    except (AttributeError, TypeError):
        # The handler of a lookup table is among the weights, but it is no tensor.
        return False


def _synchronize(model: Any) -> None:
    """Writes the values of the last step to the variables. Keras 3 keeps them elsewhere during an epoch on JAX."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def _list_blocks(shape: Any, cells: int) -> Iterator[slice | None]:
    """Lists the rows of a variable in blocks of about ``cells`` cells. None stands for the whole variable."""
    sizes = [int(size) for size in shape]
    if math.prod(sizes) <= cells:
        yield None
        return
    rows = max(1, cells // math.prod(sizes[1:]))
    for start in range(0, sizes[0], rows):
        yield slice(start, min(start + rows, sizes[0]))


def _is_finite(model: Any, variable: Any, cells: int) -> bool:
    if uses_sessions():
        return bool(np.isfinite(_read(model, variable)).all())
    return all(_is_block_finite(model, variable, block) for block in _list_blocks(variable.shape, cells))


def _is_block_finite(model: Any, variable: Any, block: slice | None) -> bool:
    if not runs_in_tensorflow(model):
        return bool(np.isfinite(_read(model, variable, block)).all())
    if block is None:
        part = tf.convert_to_tensor(variable)
    else:
        # Slicing would first copy the whole variable.
        part = tf.gather(_get_value(variable), tf.range(block.start, block.stop))
    return bool(tf.reduce_all(tf.math.is_finite(part)))


def _read(model: Any, variable: Any, block: slice | None = None) -> np.ndarray:
    """Copies a variable, or a block of its rows, to the host."""
    if uses_sessions():
        import tf_keras

        return np.asarray(tf_keras.backend.get_value(variable), np.float32)
    if runs_in_tensorflow(model):
        return np.asarray(tf.convert_to_tensor(variable), np.float32)
    import keras

    value = variable.value if block is None else variable.value[block]
    return np.asarray(keras.ops.convert_to_numpy(value), np.float32)


def _get_value(variable: Any) -> Any:
    """Returns the tf.Variable inside a variable of Keras 3; any other variable unchanged."""
    value = getattr(variable, "value", variable)
    return variable if callable(value) else value

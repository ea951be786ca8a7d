"""Measures the conflict between tasks: how far their gradients point in different directions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..keras_compat import get_layer_name, get_variable_path
from .variables import check_scalar, unwrap_variables


@dataclasses.dataclass(frozen=True, eq=False)
class GradientConflict:
    """The relation between the gradients of T tasks.

    Attributes:
      tasks: The tasks, in the order of the matrix.
      norms: The L2 norm of each task's gradient over all variables; 0 without a gradient, NaN if it is not finite.
      shares: Each task's norm divided by the sum of all norms; NaN if the sum is 0 or not finite.
      cosines: ``[T, T]``, the cosines between pairs of gradients: -1 for opposite directions, 0 for orthogonal ones, 1
        for equal ones. NaN for a task whose norm is 0 or NaN.
      layers: The norms over the variables of each layer, by layer and task.
    """

    tasks: tuple[str, ...]
    norms: dict[str, float]
    shares: dict[str, float]
    cosines: np.ndarray
    layers: dict[str, dict[str, float]]

    def cosine(self, first: str, second: str) -> float:
        """Returns the cosine between the gradients of two tasks."""
        return float(self.cosines[self.tasks.index(first), self.tasks.index(second)])


class ConflictProbe:
    """Measures the conflict between tasks repeatedly, with one compiled function.

    Each call takes one backward pass per task and converts sparse gradients to dense ones.

    Args:
      losses_fn: Receives the arguments of the call and returns a mapping from task to scalar loss, with the weights of
        training. It runs without AutoGraph.
      variables: The variables that the tasks share; see :func:`~.shared_variables.find_shared_variables`.
      model_name: Prefix to remove from the layers' names. Default: none.

    Raises:
      ValueError: If ``variables`` is empty. In a call, if a loss is not a scalar.

    Example:
    >>> w = tf.Variable([1.0, 2.0], name="w")
    >>> probe = ConflictProbe(lambda: {"up": 3.0 * w[0], "down": -w[0]}, [w])
    >>> conflict = probe()
    >>> conflict.cosine("up", "down"), conflict.shares["up"]
    (-1.0, 0.75)
    """

    def __init__(self, losses_fn: Callable[..., Mapping[str, Any]], variables: Sequence[Any], *, model_name: str = ""):
        self._losses_fn = losses_fn
        self._variables = unwrap_variables(variables)
        self._layers = [get_layer_name(get_variable_path(variable), model_name) for variable in variables]
        self._tasks: tuple[str, ...] = ()
        self._compiled = tf.function(self._measure, autograph=False, reduce_retracing=True)

    def __call__(self, *batch: Any) -> GradientConflict:
        """Measures the conflict on one batch, at the current values of the variables."""
        return _make_conflict(self._compiled(batch).numpy(), self._tasks, self._layers)

    def _measure(self, batch: tuple[Any, ...]) -> tf.Tensor:
        gradients = compute_task_gradients(lambda: self._losses_fn(*batch), self._variables)
        self._tasks = tuple(gradients)
        return _compute_inner_products(list(gradients.values()))


def compute_conflict(
    gradients_by_task: Mapping[str, Sequence[Any]], layers: Sequence[str] | None = None
) -> GradientConflict:
    """Computes the conflict between tasks from their gradients.

    Args:
      gradients_by_task: The gradients of each task, in the same order of variables: tensors, ``tf.IndexedSlices``, or
        None.
      layers: The layer of each variable. Default: the variables' positions, ``"0"``, ``"1"`` …

    Raises:
      ValueError: If the tasks have gradients for different numbers of variables.

    Example:
    >>> compute_conflict({"a": [tf.constant([3.0, 4.0])], "b": [tf.constant([-3.0, -4.0])]}).norms
    {'a': 5.0, 'b': 5.0}
    """
    gradients = [list(task_gradients) for task_gradients in gradients_by_task.values()]
    count = len(gradients[0]) if gradients else 0
    names = [str(i) for i in range(count)] if layers is None else list(layers)
    if any(len(task_gradients) != len(names) for task_gradients in gradients):
        counts = list(map(len, gradients))
        raise ValueError(f"each task must have one gradient for each of {len(names)} variables, got {counts}")
    return _make_conflict(_compute_inner_products(gradients).numpy(), tuple(gradients_by_task), names)


def compute_task_gradients(
    losses_fn: Callable[[], Mapping[str, Any]], variables: Sequence[tf.Variable]
) -> dict[str, list[Any]]:
    """Computes the gradients of each task's loss, in the order of the variables. None stands for no gradient."""
    with tf.GradientTape(persistent=True) as tape:
        losses = {task: check_scalar(loss, f"the loss of task {task!r}") for task, loss in losses_fn().items()}
    return {task: tape.gradient(loss, variables) for task, loss in losses.items()}


def _compute_inner_products(gradients: Sequence[Sequence[Any]]) -> tf.Tensor:
    """Computes the inner products of all pairs of tasks' gradients, by variable: ``[variables, T, T]``, float64."""
    products = [_multiply_gradients(variable_gradients) for variable_gradients in zip(*gradients, strict=True)]
    return tf.stack(products) if products else tf.zeros([0, len(gradients), len(gradients)], tf.float64)


def _multiply_gradients(gradients: Sequence[Any]) -> tf.Tensor:
    """Computes the inner products of all pairs of T gradients of one variable: ``[T, T]``, float64."""
    sample = next((gradient for gradient in gradients if gradient is not None), None)
    if sample is None:
        return tf.zeros([len(gradients)] * 2, tf.float64)
    dense = tf.convert_to_tensor(sample)
    dtype = tf.float64 if dense.dtype == tf.float64 else tf.float32
    rows = tf.stack(
        [
            tf.zeros([tf.size(dense)], dtype)
            if gradient is None
            else tf.reshape(tf.cast(tf.convert_to_tensor(gradient), dtype), [-1])
            for gradient in gradients
        ]
    )
    # Scale each gradient by its largest number, because squares of very large or small numbers exceed the range of
    # float32.
    unit = tf.reduce_max(tf.abs(rows), axis=1, keepdims=True)
    rows /= tf.where(unit > 0, unit, tf.ones_like(unit))
    # Not a matrix product, which a GPU may compute with only ten bits of precision.
    products = tf.stack([tf.reduce_sum(rows * row, axis=1) for row in tf.unstack(rows, num=len(gradients))])
    units = tf.cast(unit, tf.float64)
    return tf.cast(products, tf.float64) * units * tf.transpose(units)


def _make_conflict(products: np.ndarray, tasks: tuple[str, ...], layers: Sequence[str]) -> GradientConflict:
    """Computes the conflict from the inner products by variable, ``[variables, T, T]``."""
    total = products.sum(axis=0)
    norms = np.sqrt(np.diagonal(total))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = norms / norms.sum()
        cosines = np.clip(total / norms[:, None] / norms[None, :], -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(norms > 0, 1.0, math.nan))
    squares: dict[str, np.ndarray] = {}
    for layer, product in zip(layers, products, strict=True):
        squares[layer] = squares.get(layer, 0.0) + np.diagonal(product)
    return GradientConflict(
        tasks=tasks,
        norms=_name_by_task(tasks, norms),
        shares=_name_by_task(tasks, shares),
        cosines=cosines,
        layers={layer: _name_by_task(tasks, np.sqrt(layer_squares)) for layer, layer_squares in squares.items()},
    )


def _name_by_task(tasks: Sequence[str], numbers: np.ndarray) -> dict[str, float]:
    return dict(zip(tasks, numbers.tolist(), strict=True))

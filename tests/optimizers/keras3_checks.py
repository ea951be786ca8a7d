"""What the properties of the Keras 3 optimizers share: their registry, gradients on every backend, and a small model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tests.optimizers.reference import NAMES, WEIGHTS, Gradient

ON_JAX = keras.backend.backend() == "jax"
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

CHECKS: dict[str, Callable[[Path], None]] = {}
"""Functions by name. Each raises if its property does not hold, and is given an empty folder."""


def check(function: Callable[..., None]) -> Callable[..., None]:
    """Registers a function under its name, with spaces for underscores; it may take an empty folder."""
    takes_folder = bool(inspect.signature(function).parameters)
    CHECKS[function.__name__.strip("_").replace("_", " ")] = function if takes_folder else lambda _: function()
    return function


# Gradients and variables.


def only_dense(gradient: Gradient, shape: Sequence[int]) -> Gradient:
    """A gradient as the backend represents it: only TensorFlow has sparse ones."""
    if ON_TENSORFLOW or not isinstance(gradient, tuple):
        return gradient
    summed = np.zeros(tuple(shape))
    with np.errstate(invalid="ignore"):
        np.add.at(summed, np.asarray(gradient[0], np.int64), gradient[1])
    return summed


def tensor(gradient: Gradient, variable: Any) -> Any:
    """A gradient as a tensor of the backend."""
    if gradient is None:
        return None
    if isinstance(gradient, tuple):
        ids, rows = gradient
        shape = tf.constant(tuple(variable.shape), tf.int64)
        return tf.IndexedSlices(tf.constant(rows, variable.dtype), tf.constant(list(ids), tf.int64), shape)
    return ops.convert_to_tensor(np.asarray(gradient), variable.dtype)


def variables(dtype: str = "float32") -> list[keras.Variable]:
    """The variables of the cases, with their initial weights."""
    return [keras.Variable(w, dtype=dtype, name=name) for name, w in zip(NAMES, WEIGHTS, strict=True)]


def dense_or_rows(gradients: Sequence[Gradient]) -> list[Gradient]:
    """The gradients of one step, as the backend represents them."""
    return [only_dense(gradient, w.shape) for gradient, w in zip(gradients, WEIGHTS, strict=True)]


# A model.

STEPS = 8
ROWS = 32


def ranker(optimizer: Any, **compiled: Any) -> keras.Model:
    """A small model with an embedding table; the same weights every time."""
    keras.utils.set_random_seed(0)
    ids, numbers = keras.Input((2,), dtype="int32"), keras.Input((4,))
    table = keras.layers.Embedding(12, 4, name="table")
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(table(ids)), numbers])
    hidden = keras.layers.Dense(16, "tanh", name="lower")(hidden)
    out = keras.layers.Dense(1, name="head")(hidden)
    model = keras.Model([ids, numbers], out)
    model.compile(optimizer=optimizer, loss="mse", **compiled)
    return model


def data(steps: int = STEPS) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Ids, numbers and labels that depend on both."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 12, (ROWS * steps, 2))
    numbers = rng.normal(size=(ROWS * steps, 4)).astype(np.float32)
    labels = numbers.sum(axis=1, keepdims=True) + (ids[:, :1] % 3 - 1)
    return (ids, numbers), labels.astype(np.float32)


def fit(model: keras.Model, epochs: int = 1, steps: int = STEPS) -> list[float]:
    """Trains a model and returns its losses by epoch."""
    inputs, labels = data(steps)
    return model.fit(inputs, labels, batch_size=ROWS, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a model by path."""
    return {variable.path: ops.convert_to_numpy(variable) for variable in model.trainable_variables}

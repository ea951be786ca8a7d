"""Trains a model with one bad step, in Keras 2 or Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tf_keras

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as optimizers_keras3

ROWS, STEPS, BAD_STEP = 32, 80, 50
BAD_ROWS = slice((BAD_STEP - 1) * ROWS, BAD_STEP * ROWS)
CLIPPY = {tf_keras: optimizers.ClippyAdagrad, keras: optimizers_keras3.ClippyAdagrad}


def make_data() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features and labels; the labels of step 50 are far too high."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 50, (STEPS * ROWS, 3))
    numbers = rng.normal(size=(STEPS * ROWS, 4)).astype(np.float32)
    y = numbers.sum(axis=1, keepdims=True) + 0.1 * (ids[:, :1] % 5)
    y[BAD_ROWS] += 30.0
    return {"ids": ids, "numbers": numbers}, y.astype(np.float32)


def make_model(library: Any = tf_keras) -> Any:
    """A built model with an embedding table of 1,000 rows, compiled with Clippy."""
    library.utils.set_random_seed(0)
    inputs = {"ids": library.Input((3,), dtype="int64", name="ids"), "numbers": library.Input((4,), name="numbers")}
    embedded = library.layers.Flatten()(library.layers.Embedding(1000, 4, name="table")(inputs["ids"]))
    hidden = library.layers.Dense(16, "relu")(library.layers.Concatenate()([embedded, inputs["numbers"]]))
    model = library.Model(inputs, library.layers.Dense(1)(hidden))
    model.compile(optimizer=CLIPPY[library](0.1), loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model: Any, x: Any, y: np.ndarray, monitor: Any, library: Any = tf_keras) -> dict[int, list[np.ndarray]]:
    """Trains a model; returns its weights after each step."""
    weights_after: dict[int, list[np.ndarray]] = {}

    def remember(batch: int, logs: Any) -> None:
        weights_after[batch + 1] = [weights.copy() for weights in model.get_weights()]

    callbacks = [monitor, library.callbacks.LambdaCallback(on_train_batch_end=remember)]
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=callbacks)
    return weights_after


def fit_with_bad_step(monitor: Any, library: Any = tf_keras) -> dict[int, list[np.ndarray]]:
    """Trains a new model on the data; returns its weights after each step."""
    return fit(make_model(library), *make_data(), monitor, library)

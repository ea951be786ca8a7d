"""Models that train with the Keras 3 optimizers, and files of such models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from steadyrank.optimizers.keras3 import Adagrad, ClippyAdagrad
from tests.optimizers.keras3_checks import ON_JAX, ROWS, STEPS, check, data, fit, ranker, weights


def assert_learns(model: keras.Model) -> None:
    losses = fit(model, epochs=8)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.3 * losses[0], losses


@check
def the_documented_example_runs() -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=ClippyAdagrad(0.1), loss="mse")
    losses = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]


@check
def a_model_learns() -> None:
    # JAX is slow without compilation.
    assert_learns(ranker(ClippyAdagrad(0.3), jit_compile="auto" if ON_JAX else False))


@check
def a_compiled_model_learns() -> None:
    assert_learns(ranker(ClippyAdagrad(0.3), jit_compile=True))


@check
def a_model_learns_with_several_steps_at_once() -> None:
    assert_learns(ranker(ClippyAdagrad(0.3), steps_per_execution=4))


@check
def a_compiled_model_and_several_steps_at_once_give_the_same_weights() -> None:
    ways: list[dict[str, Any]] = [
        {"jit_compile": False},
        {"jit_compile": True},
        {"jit_compile": ON_JAX, "steps_per_execution": 2},
        {"run_eagerly": True},
    ]
    ends = []
    for way in ways:
        model = ranker(ClippyAdagrad(1.0, export_clipping_factors=True), **way)
        fit(model, steps=4)
        clipped = {name: explanation.clipped_steps for name, explanation in model.optimizer.read_explanations().items()}
        ends.append((weights(model), clipped))
    (expected, clipped), *others = ends
    assert any(clipped.values())
    for found, found_clipped in others:
        assert found_clipped == clipped
        for path, values in expected.items():
            np.testing.assert_allclose(found[path], values, rtol=1e-4, atol=1e-5, err_msg=path)


@check
def half_precision_trains_with_a_scaled_loss() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = ranker(ClippyAdagrad(0.3), jit_compile=ON_JAX)
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert_learns(model)
    inner = model.optimizer.inner_optimizer
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    # Keras leaves out steps whose scaled gradients exceed half precision; the optimizer does not see them.
    assert inner.skipped_steps == 0
    assert int(inner.iterations) >= 8 * STEPS - 2


@check
def a_saved_model_goes_on_to_the_bit(folder: Path) -> None:
    inputs, labels = data()

    def halves(model: keras.Model, half: int) -> None:
        rows = slice(half * ROWS * 4, (half + 1) * ROWS * 4)
        model.fit(
            [column[rows] for column in inputs], labels[rows], batch_size=ROWS, shuffle=False, epochs=1, verbose=0
        )

    rate = keras.optimizers.schedules.ExponentialDecay(1.0, 3, 0.5)
    model = ranker(Adagrad(rate, "adagc", groups={"lower": "clippy"}, explain=True))
    halves(model, 0)
    model.save(folder / "model.keras")
    restored = keras.models.load_model(folder / "model.keras")
    assert type(restored.optimizer) is Adagrad
    assert restored.optimizer.read_explanations(reset=False) == model.optimizer.read_explanations(reset=False)
    for each in (model, restored):
        halves(each, 1)
    for ours, theirs in zip(restored.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))
    for ours, theirs in zip(restored.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), err_msg=theirs.path)
    assert int(restored.optimizer.iterations) == 8

"""Saving a bad step and repeating it bit by bit."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as optimizers_keras3
from steadyrank.pipeline.divergence import Bundle, DivergenceMonitor
from steadyrank.pipeline.divergence import keras3 as divergence_keras3
from tests.pipeline.divergence.bundles.bad_step import (
    BAD_ROWS,
    BAD_STEP,
    STEPS,
    fit,
    fit_with_bad_step,
    make_data,
    make_model,
)


def assert_equal_weights(actual, expected, rows_of_tables=slice(None)) -> None:
    for ours, theirs in zip(actual, expected, strict=True):
        rows = rows_of_tables if ours.shape[0] == 1000 else slice(None)
        np.testing.assert_array_equal(ours[rows], theirs[rows])


def test_a_bad_step_is_saved_and_repeated_bit_by_bit(keras_version, tmp_path):
    library, monitor_class = keras_version
    weights_after = fit_with_bad_step(monitor_class(every=8, bundles=tmp_path / "bundles"), library)
    bundle = Bundle.read(tmp_path / "bundles" / f"step-{BAD_STEP:06d}")
    assert bundle.step == BAD_STEP
    assert bundle.alarms == ("normalized_loss",)
    assert bundle.signals["loss"] > 100
    model = make_model(library)
    bundle.restore(model)
    touched_rows = np.unique(np.asarray(bundle.batch[0]["ids"]))
    assert_equal_weights(model.get_weights(), weights_after[BAD_STEP - 1], touched_rows)
    tf.function(model.train_step)(bundle.batch)
    assert_equal_weights(model.get_weights(), weights_after[BAD_STEP], touched_rows)


def test_random_numbers_and_moving_averages_are_repeated_in_keras_3(tmp_path):
    """The model changes both before it calls the optimizer."""
    x, y = make_data()

    def make_model_with_state():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(16), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
        model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
        model.compile(optimizers_keras3.ClippyAdagrad(0.1), "mse", jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        return model

    monitor = divergence_keras3.DivergenceMonitor(every=8, bundles=tmp_path)
    weights_after = fit(make_model_with_state(), x["numbers"], y, monitor, keras)
    [path] = tmp_path.iterdir()
    bundle, model = Bundle.read(path), make_model_with_state()
    bundle.restore(model)
    assert_equal_weights(model.get_weights(), weights_after[bundle.step - 1])
    tf.function(model.train_step)(bundle.batch)
    assert_equal_weights(model.get_weights(), weights_after[bundle.step])


def test_only_the_touched_rows_of_a_table_are_saved(tmp_path):
    fit_with_bad_step(DivergenceMonitor(bundles=tmp_path))
    [path] = tmp_path.iterdir()
    with np.load(path / "arrays.npz") as file:
        shapes = [file[name].shape for name in file.files]
    assert not [shape for shape in shapes if shape and shape[0] == 1000]
    assert [shape for shape in shapes if len(shape) == 2 and shape[0] <= 50 and shape[1] == 4]


def test_saving_changes_no_number(tmp_path):
    saving, not_saving = (fit_with_bad_step(DivergenceMonitor(bundles=bundles)) for bundles in (tmp_path, None))
    assert_equal_weights(saving[STEPS], not_saving[STEPS])


def test_a_calm_training_saves_nothing(tmp_path):
    x, y = make_data()
    y[BAD_ROWS] -= 30.0
    fit(make_model(), x, y, DivergenceMonitor(bundles=tmp_path / "bundles"))
    assert not (tmp_path / "bundles").exists()


def test_a_gradient_that_is_not_finite_raises_an_alarm(tmp_path):
    x, y = make_data()
    x["numbers"][BAD_ROWS.start] = np.nan
    y[BAD_ROWS] -= 30.0
    fit(make_model(), x, y, DivergenceMonitor(bundles=tmp_path))
    [path] = tmp_path.iterdir()
    assert Bundle.read(path).step == BAD_STEP
    # Not the loss: on a CPU a ReLU turns NaN into 0, but its gradient does not.
    assert "gradient" in Bundle.read(path).alarms


def test_the_metadata_hold_the_step_and_its_signals(tmp_path):
    fit_with_bad_step(DivergenceMonitor(bundles=tmp_path))
    [path] = tmp_path.iterdir()
    metadata = json.loads((path / "bundle.json").read_text())
    assert metadata["step"] == BAD_STEP
    assert metadata["signals"].keys() >= {"loss", "normalized_loss", "gradient", "learning_rate"}


@pytest.mark.parametrize("damage", ["bundle.json", "arrays.npz", "truncated", "missing"])
def test_a_damaged_bundle_is_refused(tmp_path, damage):
    fit_with_bad_step(DivergenceMonitor(bundles=tmp_path / "bundles"))
    [path] = (tmp_path / "bundles").iterdir()
    if damage == "truncated":
        content = (path / "arrays.npz").read_bytes()
        (path / "arrays.npz").write_bytes(content[: len(content) // 2])
    elif damage == "missing":
        path = tmp_path / "elsewhere"
    else:
        (path / damage).unlink()
    with pytest.raises(ValueError, match="holds no readable bundle"):
        Bundle.read(path)


def test_a_model_with_other_variables_is_refused(tmp_path):
    fit_with_bad_step(DivergenceMonitor(bundles=tmp_path))
    [path] = tmp_path.iterdir()
    other = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(3,))])
    other.compile(optimizer=optimizers.ClippyAdagrad(0.1), loss="mse")
    with pytest.raises(ValueError, match="holds 5 weights, but the model has 2"):
        Bundle.read(path).restore(other)

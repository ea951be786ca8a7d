"""The bundle of a bad step: saved while it happens, complete or absent, and taken again to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as optimizers3
from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.divergence import keras3 as for_keras3
from steadyrank.pipeline.divergence.bundle import Bundle, Bundles

KERAS = {
    "keras2": (tf_keras, DivergenceMonitor, optimizers.ClippyAdagrad),
    "keras3": (keras, for_keras3.DivergenceMonitor, optimizers3.ClippyAdagrad),
}
ROWS, STEPS, BAD = 32, 80, 50


@pytest.fixture(params=KERAS)
def either(request):
    return KERAS[request.param]


def data():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 50, (STEPS * ROWS, 3))
    numbers = rng.normal(size=(STEPS * ROWS, 4)).astype(np.float32)
    y = numbers.sum(axis=1, keepdims=True) + 0.1 * (ids[:, :1] % 5)
    y[(BAD - 1) * ROWS : BAD * ROWS] += 30.0
    return {"ids": ids, "numbers": numbers}, y.astype(np.float32)


def model_of(k, clippy):
    k.utils.set_random_seed(0)
    inputs = {"ids": k.Input((3,), dtype="int64", name="ids"), "numbers": k.Input((4,), name="numbers")}
    embedded = k.layers.Flatten()(k.layers.Embedding(1000, 4, name="table")(inputs["ids"]))
    hidden = k.layers.Dense(16, "relu")(k.layers.Concatenate()([embedded, inputs["numbers"]]))
    model = k.Model(inputs, k.layers.Dense(1)(hidden))
    model.compile(optimizer=clippy(0.1), loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def fitted(k, clippy, monitor, after: dict[int, list], **fit):
    """Fits; keeps the weights after each step."""
    model = model_of(k, clippy)
    weights = k.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: after.update({batch + 1: [w.copy() for w in model.get_weights()]})
    )
    x, y = data()
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[monitor, weights], **fit)
    return model


def test_the_bad_step_is_saved_and_taken_again_to_the_bit(either, tmp_path):
    k, monitor_class, clippy = either
    after: dict[int, list] = {}
    fitted(k, clippy, monitor_class(every=8, bundles=tmp_path / "bundles"), after)
    bundle = Bundle.read(tmp_path / "bundles" / f"step-{BAD:06d}")
    assert bundle.step == BAD
    assert bundle.alarms == ("normalized_loss",)
    assert bundle.signals["loss"] > 100
    model = model_of(k, clippy)
    bundle.restore(model)
    touched = np.unique(np.asarray(bundle.batch[0]["ids"]))
    for ours, theirs in zip(model.get_weights(), after[BAD - 1], strict=True):
        rows = touched if ours.shape[0] == 1000 else slice(None)
        np.testing.assert_array_equal(ours[rows], theirs[rows])
    tf.function(model.train_step)(bundle.batch)
    for ours, theirs in zip(model.get_weights(), after[BAD], strict=True):
        rows = touched if ours.shape[0] == 1000 else slice(None)
        np.testing.assert_array_equal(ours[rows], theirs[rows])


def test_of_a_table_the_touched_rows_alone_are_saved(tmp_path):
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=tmp_path), {})
    [path] = tmp_path.iterdir()
    with np.load(path / "arrays.npz") as held:
        sizes = [held[name].shape for name in held.files]
    assert not [shape for shape in sizes if shape and shape[0] == 1000]
    assert [shape for shape in sizes if len(shape) == 2 and shape[0] <= 50 and shape[1] == 4]


def test_saving_changes_no_number(tmp_path):
    with_it, without = {}, {}
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=tmp_path), with_it)
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(), without)
    for ours, theirs in zip(with_it[STEPS], without[STEPS], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_calm_training_saves_nothing(tmp_path):
    model = model_of(tf_keras, optimizers.ClippyAdagrad)
    x, y = data()
    y[(BAD - 1) * ROWS : BAD * ROWS] -= 30.0
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[DivergenceMonitor(bundles=tmp_path / "b")])
    assert not (tmp_path / "b").exists()


def test_a_gradient_that_is_not_finite_raises_the_alarm(tmp_path):
    model = model_of(tf_keras, optimizers.ClippyAdagrad)
    x, y = data()
    x["numbers"][(BAD - 1) * ROWS] = np.nan
    y[(BAD - 1) * ROWS : BAD * ROWS] -= 30.0
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[DivergenceMonitor(bundles=tmp_path)])
    [path] = tmp_path.iterdir()
    assert Bundle.read(path).step == BAD
    # Not the loss: ReLU makes 0 of NaN on a CPU, and its gradient does not.
    assert "gradient" in Bundle.read(path).alarms


def test_there_are_no_more_than_wanted_and_not_close_together(tmp_path):
    x, y = data()
    y[40 * ROWS :: ROWS] += 3000.0
    bundles = Bundles(tmp_path, max_bundles=2, min_steps_between=16)
    model = model_of(tf_keras, optimizers.ClippyAdagrad)
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[DivergenceMonitor(every=4, bundles=bundles)])
    steps = [int(path.name.removeprefix("step-")) for path in bundles.paths]
    assert len(steps) == 2
    assert steps[0] == 41
    assert steps[1] - steps[0] >= 16


def test_what_is_too_large_is_refused_in_words(tmp_path):
    bundles = Bundles(tmp_path / "b", max_bytes=1000)
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=bundles), {})
    assert not bundles.paths
    assert "are more than the 1,000 that a bundle may have" in bundles.problems[0]


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path):
    (tmp_path / "file").write_text("")
    bundles = Bundles(tmp_path / "file" / "b")
    after: dict[int, list] = {}
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=bundles), after)
    assert len(after) == STEPS
    assert bundles.problems


def test_two_replicas_and_compiled_steps_are_refused_in_words(two_replicas, tmp_path):
    bundles = Bundles(tmp_path)
    with two_replicas.scope():
        model = model_of(tf_keras, optimizers.ClippyAdagrad)
    x, y = data()
    model.fit(x, y, batch_size=ROWS, verbose=0, callbacks=[DivergenceMonitor(bundles=bundles)])
    assert "the strategy has several" in bundles.problems[0]


@pytest.mark.parametrize("damage", ["bundle.json", "arrays.npz", "shorter", "nothing"])
def test_a_damaged_one_is_told(tmp_path, damage):
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=tmp_path / "b"), {})
    [path] = (tmp_path / "b").iterdir()
    if damage == "shorter":
        whole = (path / "arrays.npz").read_bytes()
        (path / "arrays.npz").write_bytes(whole[: len(whole) // 2])
    elif damage == "nothing":
        path = tmp_path / "elsewhere"
    else:
        (path / damage).unlink()
    with pytest.raises(ValueError, match="holds no bundle that can be read"):
        Bundle.read(path)


def test_a_model_with_other_variables_is_told(tmp_path):
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=tmp_path), {})
    [path] = tmp_path.iterdir()
    other = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(3,))])
    other.compile(optimizer=optimizers.ClippyAdagrad(0.1), loss="mse")
    with pytest.raises(ValueError, match="holds 5 of weights, the model has 2"):
        Bundle.read(path).restore(other)


def test_it_says_what_happened(tmp_path):
    fitted(tf_keras, optimizers.ClippyAdagrad, DivergenceMonitor(bundles=tmp_path), {})
    [path] = tmp_path.iterdir()
    told = json.loads((path / "bundle.json").read_text())
    assert told["step"] == BAD
    assert told["signals"].keys() >= {"loss", "normalized_loss", "gradient"}


def test_what_is_random_and_moving_averages_are_repeated_in_keras_3(tmp_path):
    """Both are written before the optimizer is called."""
    x, y = data()
    x = x["numbers"]

    def model_with_state():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(16), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
        model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
        model.compile(optimizers3.ClippyAdagrad(0.1), "mse", jit_compile=False)
        return model

    after: dict[int, list] = {}
    model = model_with_state()
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: after.update({batch + 1: [w.copy() for w in model.get_weights()]})
    )
    monitor = for_keras3.DivergenceMonitor(every=8, bundles=tmp_path)
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[monitor, keep])
    [path] = tmp_path.iterdir()
    again = model_with_state()
    again.optimizer.build(again.trainable_variables)
    bundle = Bundle.read(path)
    bundle.restore(again)
    for ours, theirs in zip(again.get_weights(), after[bundle.step - 1], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    tf.function(again.train_step)(bundle.batch)
    for ours, theirs in zip(again.get_weights(), after[bundle.step], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_killed_at_any_moment_it_leaves_whole_bundles(tmp_path):
    program = f"""
import numpy as np
from steadyrank.pipeline.divergence.bundle import Bundles
bundles = Bundles({str(tmp_path)!r}, max_bundles=10**6, min_steps_between=1)
arrays = {{"weights/0": np.arange(1 << 19), "batch/0": np.ones(8), "kept/0": np.zeros(8)}}
told = {{"alarms": ["loss"], "signals": {{"loss": 1.0}}, "batch": "batch/0", "weights": 1, "kept": 1}}
first = len(bundles.paths) + 1
print("ready", flush=True)
for step in range(first, 10**6):
    bundles.save(step, told, arrays)
"""
    rng = np.random.default_rng(0)
    torn = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()
        process.communicate()
        for path in Bundles(tmp_path).paths:
            assert Bundle.read(path).weights[0].size == 1 << 19
        left = list(tmp_path.glob(".step-*"))
        # What the ones before left is gone.
        assert len(left) <= 1
        torn += len(left)
    assert Bundles(tmp_path).paths
    assert torn, "no kill came in the middle of a bundle: this test has shown nothing"

"""The monitored training step: in place for one call only, so that the model is its own whenever other code sees it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor

ROWS = 8
X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)


def make_model(library=tf_keras, **compiled):
    library.utils.set_random_seed(0)
    model = library.Sequential([library.Input((4,)), library.layers.Dense(3, "relu"), library.layers.Dense(1)])
    model.compile("sgd", "mse", **({"run_eagerly": True} | compiled))
    return model


def fit(model, *callbacks, **arguments):
    return model.fit(X, Y, batch_size=ROWS, verbose=0, shuffle=False, callbacks=list(callbacks), **arguments).history


def is_clean(model) -> bool:
    patched = {"train_step", "compute_loss", "call", "apply_gradients", "apply"}
    return not any(patched & vars(part).keys() for part in (model, model.optimizer, *model.layers))


def test_other_callbacks_see_the_models_own_methods(keras_version, tmp_path):
    library, monitor_class = keras_version
    model, seen = make_model(library), []
    own_functions = set()

    def look(batch, logs):
        own_functions.add(model.train_function)
        if batch:
            return
        path = tmp_path / f"{batch}.keras"
        model.save(path)
        loaded = library.models.load_model(path)
        copied = pickle.loads(pickle.dumps(model)) if library is tf_keras else library.models.clone_model(model)
        assert len(copied.layers) == len(loaded.layers) == len(model.layers)
        seen.append(is_clean(model) and np.array_equal(loaded(X), model(X)))

    fit(model, monitor_class(), library.callbacks.LambdaCallback(on_train_batch_end=look))
    assert seen == [True]
    assert own_functions == {model.train_function}


@pytest.mark.parametrize(
    ("error", "hook"),
    [
        (ValueError, "on_train_batch_begin"),
        (KeyboardInterrupt, "on_train_batch_end"),
        (ValueError, "on_epoch_end"),
        (KeyboardInterrupt, "in the step"),
    ],
)
def test_after_an_exception_the_model_is_its_own(error, hook):
    model, monitor = make_model(), DivergenceMonitor()

    def fail(*_, **__):
        raise error

    failing = tf_keras.callbacks.Callback()
    if hook == "in the step":
        dense = model.layers[0]
        object.__setattr__(dense, "call", fail)
    else:
        object.__setattr__(failing, hook, fail)
    with pytest.raises(error):
        fit(model, monitor, failing)
    if hook == "in the step":
        object.__delattr__(dense, "call")
    assert is_clean(model)
    monitor.set_model(model)
    assert model.train_function.__module__.startswith("tf_keras")
    steps = monitor.step
    fit(model)
    assert is_clean(model)
    assert monitor.step == steps
    fit(model, monitor)
    assert monitor.problems == []


def test_a_model_that_is_compiled_again_uses_its_new_optimizer():
    model, monitor = make_model(), DivergenceMonitor()
    fit(model, monitor)
    model.compile(tf_keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    weights = model.get_weights()
    fit(model, monitor)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_two_monitors_measure_the_same_steps():
    monitors = DivergenceMonitor(), DivergenceMonitor()
    fit(make_model(), *monitors, epochs=2)
    windows = [monitor._reader.take_unpublished(monitor.step) for monitor in monitors]
    assert [window.steps for window in windows] == [8, 8]
    assert windows[0].signals["loss"] == windows[1].signals["loss"]


@pytest.mark.parametrize("begins_batches", [True, False])
def test_a_loop_over_train_on_batch_is_measured(keras_version, begins_batches):
    library, monitor_class = keras_version
    model, monitor = make_model(library), monitor_class(every=2)
    monitor.set_model(model)
    monitor.on_train_begin()
    for batch in range(4):
        if begins_batches:
            monitor.on_train_batch_begin(batch)
        loss = model.train_on_batch(X[:ROWS], Y[:ROWS])
        monitor.on_train_batch_end(batch, {"loss": loss})
    monitor.on_train_end()
    assert monitor._reader.take_unpublished(monitor.step).steps == 4
    assert is_clean(model)


def test_a_compiled_step_can_be_shown_by_tensorboard(tmp_path):
    model = make_model(run_eagerly=False)
    monitor = DivergenceMonitor()
    fit(model, monitor, tf_keras.callbacks.TensorBoard(str(tmp_path), write_graph=True))
    assert list(tmp_path.rglob("*tfevents*"))
    assert monitor._reader.take_unpublished(monitor.step).steps == 4

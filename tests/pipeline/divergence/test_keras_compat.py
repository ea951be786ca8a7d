"""The compatibility functions for Keras 2 and Keras 3."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tensorflow as tf

from steadyrank.pipeline.divergence.keras_compat import (
    get_layer_name,
    get_strategy,
    get_variable_path,
    has_relu,
    list_computing_layers,
    list_model_variables,
    list_optimizer_variables,
    runs_in_tensorflow,
    unwrap_optimizer,
)


@pytest.mark.parametrize(
    ("variable", "model", "layer"),
    [
        ("ranker/shared/layer_0/kernel:0", "ranker", "shared/layer_0"),
        ("ranker/dcn/cross_1/dense_7/bias:0", "ranker", "dcn/cross_1"),
        ("ranker/encoder/video/embeddings:0", "ranker", "encoder/video"),
        ("dense/kernel:0", "sequential", "dense"),
        ("block/dense/kernel", "model", "block/dense"),
        ("kernel:0", "ranker", "kernel"),
    ],
)
def test_a_layer_is_at_most_two_levels_below_the_model(variable, model, layer):
    assert get_layer_name(variable, model) == layer


@pytest.fixture
def model(keras_version):
    library, _ = keras_version
    layers = library.layers
    inputs = library.Input((4,))
    block = library.Sequential([layers.Dense(3, "relu", name="inner"), layers.Dropout(0.5)], name="block")
    normalized = layers.BatchNormalization(name="norm")(layers.ReLU(name="relu")(block(inputs)))
    model = library.Model(inputs, layers.Dense(1, name="out")(normalized))
    model.compile(library.optimizers.Adagrad(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_computing_layers_have_no_sublayers(model):
    names = {layer.name for layer in list_computing_layers(model)}
    assert {"inner", "norm", "out"} <= names
    assert "block" not in names


def test_relu_is_found_as_an_activation_and_as_a_layer(model):
    layers = {layer.name: layer for layer in (*model.layers, *list_computing_layers(model))}
    assert [has_relu(layers[name]) for name in ("inner", "relu", "norm", "out")] == [True, True, False, False]


def test_variables_of_a_model_hold_moving_averages(model):
    assert len(list_model_variables(model)) >= 8
    assert any("moving_mean" in get_variable_path(variable) for variable in list_model_variables(model))


def test_an_optimizer_that_scales_the_loss_is_unwrapped(keras_version):
    library, _ = keras_version
    inner = library.optimizers.Adagrad(0.1)
    module = library.optimizers if hasattr(library.optimizers, "LossScaleOptimizer") else library.mixed_precision
    outer = module.LossScaleOptimizer(inner)
    assert unwrap_optimizer(outer) is inner
    assert unwrap_optimizer(inner) is inner
    assert len(list_optimizer_variables(outer)) == len(list_optimizer_variables(inner))


def test_steps_run_in_tensorflow_here(model):
    assert runs_in_tensorflow(model)
    assert isinstance(get_strategy(model), tf.distribute.Strategy)


def test_steps_on_jax_do_not_run_in_tensorflow():
    pytest.importorskip("jax")
    program = (
        "import os; os.environ['KERAS_BACKEND'] = 'jax'\n"
        "import keras\n"
        "from steadyrank.pipeline.divergence.keras_compat import runs_in_tensorflow\n"
        "assert not runs_in_tensorflow(keras.Sequential([keras.layers.Dense(1)]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

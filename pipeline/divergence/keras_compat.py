"""Properties of Keras models and optimizers, for both Keras 2 (tf_keras) and Keras 3."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def has_relu(layer: Any) -> bool:
    """Returns whether a layer ends in a ReLU, so that its units can die."""
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    return name.lower() in ("relu", "relu6") or type(layer).__name__ == "ReLU"


def list_computing_layers(model: Any) -> list[Any]:
    """Lists the layers without sublayers that have weights or an activation."""
    return [
        layer
        for layer in _list_sublayers(model)
        if type(layer).__name__ != "InputLayer"
        and not _list_sublayers(layer)
        and (hasattr(layer, "activation") or hasattr(layer, "kernel") or layer.trainable_weights)
    ]


def _list_sublayers(layer: Any) -> list[Any]:
    """Lists the distinct layers inside a layer or model, at any depth."""
    return [sublayer for sublayer in dict.fromkeys(layer._flatten_layers()) if sublayer is not layer]


def get_variable_path(variable: Any) -> str:
    """Returns ``model/layer/kernel``: the path in Keras 3, the name in Keras 2."""
    return getattr(variable, "path", None) or variable.name


def get_layer_name(variable_path: str, model_name: str) -> str:
    """Returns the name of a variable's layer, at most two levels below the model.

    Example:
    >>> get_layer_name("ranker/shared/layer_0/kernel:0", "ranker"), get_layer_name("dense_1/bias", "sequential")
    ('shared/layer_0', 'dense_1')
    """
    parts = variable_path.partition(":")[0].split("/")
    if parts[0] == model_name and len(parts) > 1:
        parts = parts[1:]
    return "/".join(parts[:-1][:2]) or parts[0]


def unwrap_optimizer(optimizer: Any) -> Any:
    """Returns the inner optimizer of a loss-scaling optimizer; any other optimizer unchanged."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def list_optimizer_variables(optimizer: Any) -> list[Any]:
    """Lists all variables of an optimizer, without loss-scale variables. In Keras 3, they include the learning rate."""
    variables = unwrap_optimizer(optimizer).variables
    return list(variables() if callable(variables) else variables)


def list_model_variables(model: Any) -> list[Any]:
    """Lists all variables of a model except for its metrics.

    In Keras 3, they include the states of random generators.
    """
    return [*model.trainable_variables, *model.non_trainable_variables]


def get_strategy(model: Any) -> tf.distribute.Strategy:
    """Returns the distribution strategy of a model's variables."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def runs_in_tensorflow(model: Any) -> bool:
    """Returns whether the training step is a TensorFlow function: always in Keras 2; in Keras 3, on the TensorFlow backend."""
    for base in type(model).__mro__:
        if base.__module__.split(".")[0] == "keras":
            import keras

            return not keras.__version__.startswith("3.") or keras.backend.backend() == "tensorflow"
    return True

"""What is asked of a Keras model, whichever Keras it is of."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def has_relu(layer: Any) -> bool:
    """Whether a layer's units are 0 for some inputs and may die."""
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    return name.lower() in ("relu", "relu6") or type(layer).__name__ == "ReLU"


def list_computing_layers(model: Any) -> list[Any]:
    """The layers that hold no other layer, and compute something: those that hold weights or an activation."""
    return [
        layer
        for layer in _within(model)
        if type(layer).__name__ != "InputLayer"
        and not _within(layer)
        and (hasattr(layer, "activation") or hasattr(layer, "kernel") or layer.trainable_weights)
    ]


def _within(layer: Any) -> list[Any]:
    """All layers that a layer or model holds, each once."""
    return [each for each in dict.fromkeys(layer._flatten_layers()) if each is not layer]


def get_variable_path(variable: Any) -> str:
    """``model/layer/kernel``: Keras 3's path, or Keras 2's name."""
    return getattr(variable, "path", None) or variable.name


def get_layer_name(variable_name: str, model_name: str) -> str:
    """The layer that a variable belongs to, at most two levels below the model.

    >>> get_layer_name("ranker/shared/layer_0/kernel:0", "ranker"), get_layer_name("dense_1/bias", "sequential")
    ('shared/layer_0', 'dense_1')
    """
    parts = variable_name.partition(":")[0].split("/")
    if parts[0] == model_name and len(parts) > 1:
        parts = parts[1:]
    return "/".join(parts[:-1][:2]) or parts[0]


def unwrap_optimizer(optimizer: Any) -> Any:
    """The optimizer within one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def list_optimizer_variables(optimizer: Any) -> list[Any]:
    """All that an optimizer keeps, its rate among them, without the counts of a scaled loss."""
    own = unwrap_optimizer(optimizer).variables
    return list(own() if callable(own) else own)


def list_model_variables(model: Any) -> list[Any]:
    """All variables of a model that a step reads or writes, without metrics: in Keras 3 the state of random numbers too."""
    return [*model.trainable_variables, *model.non_trainable_variables]


def get_strategy(model: Any) -> tf.distribute.Strategy:
    """The strategy under which a model's variables were made."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def runs_in_tensorflow(model: Any) -> bool:
    """Whether the training step is a TensorFlow function: always in Keras 2; in Keras 3, with that backend."""
    for kind in type(model).__mro__:
        if kind.__module__.split(".")[0] == "keras":
            import keras

            return not keras.__version__.startswith("3.") or keras.backend.backend() == "tensorflow"
    return True

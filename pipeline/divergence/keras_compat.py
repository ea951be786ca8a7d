"""Properties of Keras models and optimizers, for both Keras 2 (tf_keras) and Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf


def is_from_keras(function_or_class: Any) -> bool:
    """Returns whether a function or class belongs to Keras, and is not a user's own."""
    return getattr(function_or_class, "__module__", "").partition(".")[0] in ("keras", "tf_keras")


def has_relu(layer: Any) -> bool:
    """Returns whether a layer ends in a ReLU, so that its units can die."""
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    return name.lower() in ("relu", "relu6") or type(layer).__name__ == "ReLU"


def list_computing_layers(model: Any) -> list[Any]:
    """Lists the layers that have weights or an activation, without layers that contain others or run in a loop.

    Of a recurrent layer and its cell, the list contains the layer, because the cell runs once for each time step.
    """
    recurrent = [layer for layer in list_sublayers(model) if _is_recurrent(layer)]
    cells = {id(sublayer) for layer in recurrent for sublayer in list_sublayers(layer)}
    return [layer for layer in list_sublayers(model) if id(layer) not in cells and _computes(layer)]


def _is_recurrent(layer: Any) -> bool:
    return any(base.__name__ == "RNN" for base in type(layer).__mro__)


def _computes(layer: Any) -> bool:
    if type(layer).__name__ == "InputLayer":
        return False
    if _is_recurrent(layer):
        return True
    if list_sublayers(layer):
        return False
    return hasattr(layer, "activation") or hasattr(layer, "kernel") or bool(layer.trainable_weights)


def list_sublayers(layer: Any) -> list[Any]:
    """Lists the distinct layers inside a layer or model, at any depth."""
    return [
        sublayer for sublayer in {id(each): each for each in layer._flatten_layers()}.values() if sublayer is not layer
    ]


def convert_with_autograph(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a layer's ``call`` as Keras runs it: in Keras 2, AutoGraph converts the ``call`` of a user's own layer."""
    should_convert = getattr(layer, "_should_use_autograph", None)
    if should_convert is None or tf.executing_eagerly() or not should_convert():
        return call
    autograph = tf.__internal__.autograph
    return autograph.tf_convert(call, autograph.control_status_ctx())


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


def list_optimizers(model: Any) -> list[Any]:
    """Lists the distinct optimizers of a model: those of ``compile``, and attributes such as a GAN's second optimizer."""
    compiled = model.optimizer
    compiled = list(compiled) if isinstance(compiled, list | tuple) else [compiled]
    attributes = [value for value in vars(model).values() if hasattr(value, "apply_gradients")]
    return list({id(each): each for each in [*compiled, *attributes] if each is not None}.values())


def list_optimizer_variables(optimizer: Any) -> list[Any]:
    """Lists all variables of an optimizer, without loss-scale variables. In Keras 3, they include the learning rate."""
    variables = getattr(unwrap_optimizer(optimizer), "variables", ())
    return _select_variables(variables() if callable(variables) else variables)


def list_variables_of_optimizers(model: Any) -> list[Any]:
    """Lists the variables of all optimizers of a model."""
    return [variable for optimizer in list_optimizers(model) for variable in list_optimizer_variables(optimizer)]


def list_model_variables(model: Any) -> list[Any]:
    """Lists all variables of a model except for its metrics; none if it has an unbuilt Sequential model.

    In Keras 3, they include the states of random generators. Vocabularies of preprocessing layers are no variables.
    """
    try:
        return _select_variables([*model.trainable_variables, *model.non_trainable_variables])
    except ValueError:
        return []


def _select_variables(weights: Iterable[Any]) -> list[Any]:
    return [weight for weight in weights if all(hasattr(weight, name) for name in ("assign", "dtype", "shape"))]


def read_learning_rate(optimizer: Any) -> tf.Tensor | None:
    """Reads an optimizer's learning rate, in the graph. None for a user's function, which may have side effects."""
    optimizer = unwrap_optimizer(optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    if callable(rate) and not hasattr(rate, "get_config"):
        return None
    rate = getattr(optimizer, "learning_rate", None)
    if callable(rate):
        # Keras's legacy optimizers return the schedule itself.
        rate = rate(optimizer.iterations)
    return None if rate is None else tf.convert_to_tensor(rate)


def get_strategy(model: Any) -> tf.distribute.Strategy:
    """Returns the distribution strategy of a model's variables."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def uses_sessions() -> bool:
    """Returns whether models run in sessions of TensorFlow 1, as after ``tf.compat.v1.disable_eager_execution()``."""
    return not tf.compat.v1.executing_eagerly_outside_functions()


def runs_in_tensorflow(model: Any) -> bool:
    """Returns whether the training step is a TensorFlow function: always in Keras 2; in Keras 3, on the TensorFlow backend."""
    for base in type(model).__mro__:
        if base.__module__.split(".")[0] == "keras":
            import keras

            return not keras.__version__.startswith("3.") or keras.backend.backend() == "tensorflow"
    return True

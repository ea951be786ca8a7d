"""Refuses models of the other version of Keras."""

from __future__ import annotations

from typing import Any

_MODULES = {2: "steadyrank.pipeline.divergence", 3: "steadyrank.pipeline.divergence.keras3"}


def find_keras_version(model: Any) -> int | None:
    """Returns the version of Keras that a model belongs to, 2 or 3; None for a model of neither."""
    for base in type(model).__mro__:
        package = base.__module__.partition(".")[0]
        if package == "tf_keras":
            return 2
        if package == "keras":
            import keras

            return int(keras.__version__.partition(".")[0])
    return None


def check_keras_version(model: Any, expected: int) -> None:
    """Checks that a model belongs to the expected version of Keras.

    Raises:
      TypeError: If it belongs to another one. The message names the right import.
    """
    found = find_keras_version(model)
    if found is not None and found != expected and found in _MODULES:
        raise TypeError(
            f"this DivergenceMonitor is for Keras {expected}, but the model {model.name!r} is a Keras {found} model: use "
            f"`from {_MODULES[found]} import DivergenceMonitor`"
        )

"""Optimizers that keep a ranker's training stable.

``ClippyAdagrad`` replaces any Keras 2 (tf_keras) optimizer:

    model.compile(optimizer=steadyrank.optimizers.ClippyAdagrad(WarmUp(0.4, steps=1000)), loss=...)

``Adagrad`` takes any rule of :mod:`.rules` (``Clippy``, ``GradientClipping``, ``AdaptiveGradientClipping``, ``Lamb``,
``AdaGC``, ``NoClipping``), and a different rule for each group of variables. :mod:`.tfrs` is a drop-in for the
ClippyAdagrad of TensorFlow Recommenders. :mod:`.keras3` contains the optimizers for Keras 3.

Where to start reading:

1. :mod:`.rules.clippy` computes the factor sigma.
2. :mod:`.update` clips the step: ``step = sigma * step``.
3. :mod:`.step_plan` computes every sigma from all gradients, and decides whether to take the step.
4. :mod:`.tensorflow_step` reads and writes the variables.

Importing this package, or :mod:`.rules`, does not import TensorFlow. It sets no environment variable and leaves
``tf.keras`` alone. Once Keras 2 (tf_keras) is imported as well, its ``load_model`` knows all classes of this package.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import wrapt

from .rules import RULES, AdaGC, AdaptiveGradientClipping, Clippy, GradientClipping, Lamb, NoClipping, Rule

if TYPE_CHECKING:
    from .adagrad import Adagrad
    from .clippy_adagrad import ClippyAdagrad
    from .explanations import Coordinate, Explanation
    from .schedules import WarmUp
    from .skipped_steps import skipped_too_often

__all__ = [
    "RULES",
    "AdaGC",
    "Adagrad",
    "AdaptiveGradientClipping",
    "Clippy",
    "ClippyAdagrad",
    "Coordinate",
    "Explanation",
    "GradientClipping",
    "Lamb",
    "NoClipping",
    "Rule",
    "WarmUp",
    "skipped_too_often",
]

# These modules import TensorFlow, so they are loaded when one of their names is first used.
_MODULES = {
    "Adagrad": "adagrad",
    "ClippyAdagrad": "clippy_adagrad",
    "Coordinate": "explanations",
    "Explanation": "explanations",
    "WarmUp": "schedules",
    "skipped_too_often": "skipped_steps",
}


# These modules register classes with Keras 2, in the order in which they import each other.
_REGISTERING_MODULES = ("adagrad", "clippy_adagrad", "schedules", "tfrs")


def _register_with_keras(_: Any) -> None:
    # If one of the modules is the first to import Keras, it is not complete yet, so the others cannot import it.
    if not any(f"{__name__}.{module}" in sys.modules for module in _REGISTERING_MODULES):
        for module in _REGISTERING_MODULES:
            importlib.import_module(f".{module}", __name__)


# Files in the formats HDF5 and SavedModel name a class without its module.
wrapt.register_post_import_hook(_register_with_keras, "tf_keras")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Registers all classes, not only those of one module.
    importlib.import_module("tf_keras")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)

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
``tf.keras`` alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)

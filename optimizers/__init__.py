"""Optimizers that keep a ranker's training stable.

``ClippyAdagrad`` replaces any Keras 2 (tf_keras) optimizer:

    model.compile(optimizer=steadyrank.optimizers.ClippyAdagrad(WarmUp(0.4, steps=1000)), loss=...)

``Adagrad`` takes any rule of :mod:`.rules` (``Clippy``, ``GradientClipping``, ``AdaptiveGradientClipping``, ``Lamb``, ``AdaGC``,
``NoClipping``), and groups of variables may have rules of their own. :mod:`.tfrs` is a drop-in for the ClippyAdagrad of TensorFlow
Recommenders, and :mod:`.keras3` has the optimizers for Keras 3.

Where to start reading: one rule, such as :mod:`.rules.clippy`; then :mod:`.update`, which applies sigma to a step; then
:mod:`.step_plan`, which decides the step from all gradients. :mod:`.tensorflow_step` connects them to the variables.

Importing this package, or :mod:`.rules`, does not import TensorFlow. It sets no environment variable and leaves ``tf.keras`` alone.
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

# Modules that import TensorFlow, loaded when one of their names is first used.
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

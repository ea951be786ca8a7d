"""Optimizers that keep a ranker's training stable.

``ClippyAdagrad`` stands where any Keras 2 (tf_keras) optimizer stands:

    model.compile(optimizer=steadyrank.optimizers.ClippyAdagrad(WarmUp(0.4, steps=1000)), loss=...)

``Adagrad`` takes any of the rules (``Clippy``, ``GradientClipping``, ``AdaptiveGradientClipping``, ``Lamb``, ``AdaGC``,
``NoClipping``), and groups of variables may have rules of their own. :mod:`.tfrs` is a drop-in for TensorFlow Recommenders'
ClippyAdagrad, :mod:`.keras3` has the optimizers for Keras 3.

Importing this package sets no environment variable and changes nobody's ``tf.keras``.
"""

from .adagrad import Adagrad
from .clipping import RULES, AdaGC, AdaptiveGradientClipping, Clippy, GradientClipping, Lamb, NoClipping, Rule
from .clippy_adagrad import ClippyAdagrad
from .explanations import Coordinate, Explanation
from .kernels import skipped_too_often
from .schedules import WarmUp

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

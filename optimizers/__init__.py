"""Optimizers that keep a ranker's training stable.

``ClippyAdagrad`` stands where any Keras 2 (tf_keras) optimizer stands:

    model.compile(optimizer=steadyrank.optimizers.ClippyAdagrad(WarmUp(0.4, steps=1000)), loss=...)

Importing this package sets no environment variable and changes nobody's ``tf.keras``.
"""

from .adagrad import Clipping, ClippyAdagrad
from .schedules import WarmUp

__all__ = ["Clipping", "ClippyAdagrad", "WarmUp"]

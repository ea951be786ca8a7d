"""The callback for Keras 3.

    from steadyrank.pipeline.divergence.keras3 import DivergenceMonitor
    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

On the TensorFlow backend every step is seen; on the others, whose steps are compiled from functions without state, Keras's logs.
"""

from __future__ import annotations

import keras

from .monitor_base import MonitorBase

if not keras.__version__.startswith("3."):
    raise ImportError(
        f"steadyrank.pipeline.divergence.keras3 needs Keras 3 as `keras`, got {keras.__version__}; for Keras 2 import "
        "steadyrank.pipeline.divergence"
    )


class DivergenceMonitor(MonitorBase, keras.callbacks.Callback):
    """Watches every step of a Keras 3 training; arguments and attributes are those of Keras 2's
    :class:`steadyrank.pipeline.divergence.DivergenceMonitor`.
    """

    _schedules = keras.optimizers.schedules.LearningRateSchedule

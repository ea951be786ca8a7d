"""The divergence monitor for Keras 3.

    from steadyrank.pipeline.divergence.keras3 import DivergenceMonitor

    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

With the TensorFlow backend, the monitor measures every step. With other backends, it reads only Keras's logs, because
these backends compile training steps from stateless functions. A rollback works with every backend. On JAX, a schedule
is reduced without a warm-up.
"""

from __future__ import annotations

import keras

from .monitor_base import MonitorBase

if not keras.__version__.startswith("3."):
    raise ImportError(
        f"steadyrank.pipeline.divergence.keras3 needs Keras 3 as `keras`, got {keras.__version__}. "
        "For Keras 2 import steadyrank.pipeline.divergence."
    )


class DivergenceMonitor(MonitorBase, keras.callbacks.Callback):
    """Monitors the training of a Keras 3 model.

    For the arguments, see :class:`steadyrank.pipeline.divergence.DivergenceMonitor`.
    """

    keras_version = 3
    schedule_class = keras.optimizers.schedules.LearningRateSchedule

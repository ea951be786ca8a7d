"""The divergence monitor for Keras 2 (tf_keras); for Keras 3 see :mod:`.keras3`."""

from __future__ import annotations

import tf_keras

from .monitor_base import MonitorBase


class DivergenceMonitor(MonitorBase, tf_keras.callbacks.Callback):
    """Watches every training step for divergence, records what happens, and can stop or roll back a training that diverges.

    Use it beside any callbacks of a Keras ``fit``, with any model. By default it only observes, and changes no number. While a fit
    runs, probes wrap the model's training step, layers and optimizer (see :mod:`.probes`). They keep what they measure in the
    graph, so that a spike of one step is seen whatever ``steps_per_execution`` is.

    A pipeline that publishes metrics itself calls :meth:`read_metrics` for what was measured since the last publication, and passes
    all metrics to :meth:`observe_metrics`.

    Args:
      every: Steps between two checks. Default 16.
      on_full: What to do about a full divergence. None: only observe. ``"stop"``: end training after the batch. ``"raise"``: raise
        :class:`Diverged`. ``"rollback"``: restore healthy weights and go on with a smaller learning rate (see :mod:`.recovery`);
        if that is not possible, end training. Default None.
      detector: The detector. Default: :class:`~.detector.Detector` with its default thresholds.
      probes: Whether to measure every step. If False, the monitor sees only Keras's logs, which are means over the epoch so far.
        Default True.
      verbose: 1 prints events, 0 does not. Default 0.
      on_event: Called with each event instead of printing it.
      max_rollbacks: Largest number of rollbacks, over all fits and restarts. Default 3.
      learning_rate_factor: What each rollback leaves of the learning rate. Default 0.5.
      warmup_steps: Steps after a rollback in which the learning rate rises to its new value. Default 64.
      snapshots: Where healthy weights are kept. Default: three copies in memory, 64 steps apart, with ``"rollback"`` only.
      bundles: A folder, or :class:`~.bundles.Bundles`, for the first bad steps: what is needed to repeat them. Default: none.

    Attributes:
      events: All events so far, in the order in which they were found.
      verdict: ``healthy``, ``micro`` or ``full``: how the whole training was.
      health: ``healthy``, ``out_of_range`` or ``full``: how it is now.
      step: Steps done, over all fits.
      state: Put it into a ``tf.train.Checkpoint`` to save and restore the monitor.

    Raises:
      ValueError: If an argument is out of its range; the message names it.

    Example:
    >>> import numpy as np
    >>> model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    >>> model.compile(tf_keras.optimizers.SGD(1e6), "mse")
    >>> x = np.random.default_rng(0).normal(size=(2048, 4))
    >>> monitor = DivergenceMonitor(on_full="stop")
    >>> _ = model.fit(x, x.sum(axis=1), epochs=5, verbose=0, callbacks=[monitor])
    >>> monitor.verdict
    'full'
    """

    schedule_class = tf_keras.optimizers.schedules.LearningRateSchedule

"""The divergence monitor for Keras 2 (tf_keras). For Keras 3, see :mod:`.keras3`."""

from __future__ import annotations

import tf_keras

from .monitor_base import MonitorBase


class DivergenceMonitor(MonitorBase, tf_keras.callbacks.Callback):
    """Monitors every training step for divergence and records events. Can also stop training or roll it back.

    Add it to the callbacks of a Keras ``fit``, with any model. By default, it only observes and changes no number.
    During a fit, probes wrap the model's training step, layers and optimizer (see :mod:`.probes`). They store their
    measurements in the graph, so the monitor detects a spike of a single step for any ``steps_per_execution``.

    A pipeline that publishes its own metrics calls :meth:`read_metrics` for the measurements since the last
    publication, and passes all metrics to :meth:`observe_metrics`.

    Args:
      every: Steps between two checks. Default 16.
      on_full: Action after a full divergence. None: only observe. ``"stop"``: stop training after the batch.
        ``"raise"``: raise :class:`Diverged`. ``"rollback"``: restore healthy weights and continue with a smaller
        learning rate, or stop training if no rollback is possible (see :mod:`.recovery`). Default None.
      detector: The detector. Default: :class:`~.detector.Detector` with its default thresholds.
      probes: Whether to measure every step. If False, the monitor reads only Keras's logs, which are means over the
        epoch so far. Default True.
      verbose: 1 prints events, one line for each step; 0 does not. Default 0.
      on_event: Called with each event instead of printing it.
      max_rollbacks: Largest number of rollbacks, over all fits and restarts. Default 3.
      learning_rate_factor: Factor by which each rollback multiplies the learning rate. Default 0.5.
      warmup_steps: Steps over which the learning rate rises to its new value after a rollback. Default 64.
      snapshots: The store of healthy weights. Default: with ``"rollback"``, three copies in memory, 64 steps apart.
      bundles: A folder, or :class:`~.bundles.Bundles`, that receives the first bad steps for repetition. Default: none.

    Attributes:
      events: All events so far, in the order of their steps.
      verdict: The state of the whole training: ``healthy``, ``micro`` or ``full``.
      health: The current state of training: ``healthy``, ``out_of_range`` or ``full``.
      step: Completed steps, over all fits.
      problems: The reasons why something is not measured or saved, one sentence each. Training continues without it.
      state: An object for a ``tf.train.Checkpoint``, which saves and restores the monitor.

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

    keras_version = 2
    schedule_class = tf_keras.optimizers.schedules.LearningRateSchedule

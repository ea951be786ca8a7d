"""The Keras callback that watches a training for divergence, for Keras 2 (tf_keras); for Keras 3 see :mod:`.keras3`."""

from __future__ import annotations

import tf_keras

from .monitor_base import MonitorBase


class DivergenceMonitor(MonitorBase, tf_keras.callbacks.Callback):
    """Watches every step of a training, keeps what happened, and acts on a full divergence when told to.

    When to use it: beside any callbacks of a Keras ``fit``. It observes by default and changes no number. It needs nothing
    of the model: probes are put around its training step, layers and optimizer while a ``fit`` runs (see :mod:`.probes`), and
    what they measure is kept in the graph, so that a spike of one step is seen whatever ``steps_per_execution`` is.

    A pipeline with publications of its own calls :meth:`read_metrics` for what was measured since the last one, and hands all
    metrics to :meth:`observe_metrics`.

    Args:
      every: Steps between two looks at what was kept. Default 16.
      on_full: What to do when training fully diverges: None observes, ``"stop"`` ends training after the batch,
        ``"raise"`` raises :class:`Diverged`, ``"rollback"`` goes back to healthy weights and on from the next batch with a
        smaller learning rate, see :mod:`.recovery`; when that cannot be done, training ends.
      detector: Default: a :class:`~.detector.Detector` with its defaults.
      probes: Look into the step. False reads Keras's logs alone, which are means over the epoch so far.
      verbose: 1 prints events, 0 does not. Default 0.
      on_event: Called with each event, in place of printing.
      max_rollbacks: Most rollbacks, over all fits and restarts. Default 3.
      learning_rate_factor: What a rollback leaves of the learning rate. Default 0.5.
      warmup_steps: Steps in which the rate rises again after a rollback. Default 64.
      snapshots: Where healthy weights are kept. Default: three copies in memory, 64 steps apart, for ``"rollback"`` only.

      bundles: A folder, or :class:`~.bundle.Bundles`, for the first bad steps: what is needed to take them again. Default: none.

    Attributes:
      events: All events so far, in the order in which they were found.
      verdict: ``healthy``, ``micro`` or ``full``.
      health: How the training does now: ``healthy``, ``out_of_range`` or ``full``.
      step: Steps done, counted over all fits.
      state: Goes into a ``tf.train.Checkpoint``, with which it is saved and restored.

    Raises:
      ValueError: When ``on_full`` or ``every`` is something else.

    Example:
    >>> monitor = DivergenceMonitor(on_full="stop")
    >>> # model.fit(..., callbacks=[monitor])
    >>> monitor.verdict
    'healthy'
    """

    _schedules = tf_keras.optimizers.schedules.LearningRateSchedule

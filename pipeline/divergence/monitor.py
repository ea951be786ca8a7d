"""The Keras callback that watches a training for divergence."""

from __future__ import annotations

from collections.abc import Mapping

import tf_keras

from .detector import Detector, Event

ACTIONS = (None, "stop", "raise")


class Diverged(RuntimeError):
    """Training fully diverged and was told to end there."""


class DivergenceMonitor(tf_keras.callbacks.Callback):
    """Watches published metrics, keeps the events, and acts on a full divergence when told to.

    When to use it: beside any callbacks of a Keras 2 ``fit``. It observes by default and changes nothing.

    In a plain ``fit`` it reads Keras's own logs, every ``every`` batches and at the end of each epoch. A pipeline with
    metrics of its own hands them to :meth:`observe` and sets ``every=0``.

    Args:
      every: Batches between two looks at the logs; 0 for none. Default 100.
      on_full: What to do when training fully diverges: None observes, ``"stop"`` ends training after the batch,
        ``"raise"`` raises :class:`Diverged`.
      detector: Default: a :class:`~.detector.Detector` with its defaults.

    Attributes:
      events: All events so far, in order.
      verdict: ``healthy``, ``micro`` or ``full``.

    Raises:
      ValueError: When ``on_full`` is something else.

    Example:
    >>> monitor = DivergenceMonitor(on_full="stop")
    >>> # model.fit(..., callbacks=[monitor])
    >>> monitor.verdict
    'healthy'
    """

    def __init__(self, *, every: int = 100, on_full: str | None = None, detector: Detector | None = None):
        super().__init__()
        if on_full not in ACTIONS:
            raise ValueError(f"on_full must be one of {', '.join(map(repr, ACTIONS))}, got {on_full!r}")
        self._every = every
        self._on_full = on_full
        self._detector = detector or Detector()
        self._batches = 0

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        return self._detector.events

    @property
    def verdict(self) -> str:
        """``full`` while a task is fully diverged, else ``micro`` if anything happened, else ``healthy``."""
        return self._detector.verdict

    def observe(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Takes one publication of metrics, acts on it, and returns the events it brought."""
        new = self._detector.observe(step, metrics)
        if self.verdict == "full" and self._on_full:
            if self._on_full == "raise":
                raise Diverged("; ".join(f"{e.task or 'model'}: {e.evidence}" for e in new) or "training diverged")
            self.model.stop_training = True
        return new

    def judge(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model by its metrics on held-out data; see :meth:`.detector.Detector.judge`."""
        return self._detector.judge(step, metrics)

    def declare_nonfinite(self, step: int, evidence: str) -> Event:
        """Takes note that training could not go on; see :meth:`.detector.Detector.declare_nonfinite`."""
        return self._detector.declare_nonfinite(step, evidence)

    def report(self) -> dict:
        """What ``divergence.json`` holds: the verdict and the events, in plain types."""
        return {"verdict": self.verdict, "events": [vars(event) for event in self.events]}

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks at Keras's logs every ``every`` batches."""
        self._batches += 1
        if self._every and logs and self._batches % self._every == 0:
            self.observe(self._batches, logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks at Keras's logs, unless it has just done so."""
        if self._every and logs and self._batches % self._every:
            self.observe(self._batches, logs)

"""Reads the probes for the monitor's checks and for the publications of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bundles import Bundles
from .probes import MonitoredTrainFunction, Probes
from .problems import Problems
from .signal_recorder import EMPTY_STATE
from .signal_statistics import WindowStatistics


class WindowReader:
    """Attaches probes to a model and collects their measurements.

    Checks and publications happen at different steps, so each has its own window.

    Args:
      problems: Records measurements that cannot be made.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._probes: Probes | None = None
        self._train_function: MonitoredTrainFunction | None = None
        self._unchecked, self._unpublished = WindowStatistics(), WindowStatistics()
        self._restored_recorder: Mapping[str, Any] = EMPTY_STATE

    @property
    def has_probes(self) -> bool:
        """Whether probes measure the steps."""
        return self._probes is not None

    @property
    def reads_logs(self) -> bool:
        """Whether losses are read from Keras's logs, which are means over the epoch so far."""
        return self._probes is None or self._probes.reads_logs

    def begin(self, model: Any, step: int, loss_ratio: float, bundles: Bundles | None) -> None:
        """Prepares probes for a model that is about to train.

        Args:
          model: A compiled model.
          step: Number of training steps so far.
          loss_ratio, bundles: See :class:`.probes.Probes`.
        """
        if self._probes is None or not self._probes.watches(model):
            self._probes = Probes(model, loss_ratio=loss_ratio, bundles=bundles, problems=self._problems)
            self._train_function = MonitoredTrainFunction(model, self._probes.attached)
            self._restore_recorder(step)

    def measure_next_step(self) -> None:
        """Makes the model's next training step measure itself."""
        if self._train_function is not None:
            self._train_function.install()

    def end(self) -> None:
        """Leaves the model as it was before :meth:`begin`."""
        if self._train_function is not None:
            self._train_function.remove()

    def take_unchecked(self, step: int) -> WindowStatistics:
        """Returns the window since the last call, for a check after ``step`` steps."""
        self._collect(step)
        window, self._unchecked = self._unchecked, WindowStatistics()
        return window

    def take_unpublished(self, step: int) -> WindowStatistics:
        """Returns the window since the last call, for a publication after ``step`` steps."""
        self._collect(step)
        window, self._unpublished = self._unpublished, WindowStatistics()
        return window

    def discard_unchecked(self) -> None:
        """Discards unchecked measurements, including runs.

        After a rollback, they do not describe the current weights.
        """
        self._unchecked = WindowStatistics()
        if self._probes is not None:
            self._probes.recorder.reset()

    def set_alarm_thresholds(self, thresholds: Mapping[str, float], armed: bool) -> None:
        """Sets the alarm thresholds; see :meth:`.signal_recorder.SignalRecorder.set_alarm_thresholds`."""
        if self._probes is not None:
            self._probes.recorder.set_alarm_thresholds(thresholds, armed)

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types."""
        return {
            "unchecked": self._unchecked.to_dict(),
            "unpublished": self._unpublished.to_dict(),
            # Not merged into the windows, because partial sums round differently than in an uninterrupted training.
            "recorder": self._restored_recorder if self._probes is None else self._probes.recorder.get_state(),
        }

    def set_state(self, state: Mapping[str, Any], step: int) -> None:
        """Does the inverse of :meth:`get_state`; ``step`` is the number of training steps so far."""
        self._unchecked = WindowStatistics.from_dict(state["unchecked"])
        self._unpublished = WindowStatistics.from_dict(state["unpublished"])
        self._restored_recorder = dict(state["recorder"])
        self._restore_recorder(step)

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to no model.
        return self.__dict__ | {
            "_probes": None,
            "_train_function": None,
            "_restored_recorder": self.get_state()["recorder"],
        }

    def _collect(self, step: int) -> None:
        if self._probes is not None:
            window = self._probes.read()
            self._probes.before = step
            for reader in (self._unchecked, self._unpublished):
                reader.append(window)

    def _restore_recorder(self, step: int) -> None:
        if self._probes is not None:
            self._probes.recorder.set_state(self._restored_recorder)
            self._probes.before = step - self._restored_recorder["steps"]
            self._restored_recorder = EMPTY_STATE

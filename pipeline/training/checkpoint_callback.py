"""The Keras callback that saves checkpoints in the middle of a day."""

from __future__ import annotations

from collections.abc import Mapping

import tf_keras

from ..divergence import DivergenceMonitor
from .checkpoints import Checkpoints
from .preemption import PreemptionSignal
from .run_state import RunState


class CheckpointCallback(tf_keras.callbacks.Callback):
    """Saves the run in the middle of a day.

    | when | what the callback does |
    |---|---|
    | ``every`` steps after the last checkpoint | saves the run |
    | after a rollback | saves the run, so that a restart does not lose the rollback |
    | after SIGTERM | saves the run and stops training |

    At the end of a day, the training loop saves the run, after the last publication of the day.

    Args:
      every: Steps between two checkpoints.
      checkpoints: Saves the run.
      state: The run's position. :class:`.publisher.Publisher` advances it, so it must precede this callback.
      monitor: Counts the rollbacks.
      preemption: Whether the process received SIGTERM.
    """

    def __init__(
        self,
        every: int,
        checkpoints: Checkpoints,
        state: RunState,
        monitor: DivergenceMonitor,
        preemption: PreemptionSignal,
    ):
        super().__init__()
        self._every = every
        self._checkpoints = checkpoints
        self._state = state
        self._monitor = monitor
        self._preemption = preemption
        self._mark_saved()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Saves the run if a checkpoint is due; ``batch`` is the index of the last step in this fit."""
        if batch + 1 == self.params["steps"]:
            # The day's last steps are not published yet. The training loop saves the run once they are.
            return
        rolled_back = self._monitor.rollback_count != self._saved_rollbacks
        is_due = self._state.step - self._saved_step >= self._every
        if self._preemption.requested or rolled_back or is_due:
            self._mark_saved()
            self._checkpoints.save(self._state.step)
        if self._preemption.requested:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Restarts the count of steps, because the training loop is about to save the run."""
        self._mark_saved()

    def _mark_saved(self) -> None:
        self._saved_step = self._state.step
        self._saved_rollbacks = self._monitor.rollback_count

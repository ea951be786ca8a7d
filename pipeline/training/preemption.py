"""Preemption: a cluster sends SIGTERM before it takes a machine away, and the run saves its state and stops."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Preempted(Exception):
    """Training stopped because of SIGTERM. The run is saved."""


class PreemptionSignal:
    """Listens for SIGTERM inside a ``with`` block and restores the previous handler at the end.

    The handler only sets :attr:`requested`, because it can run between any two instructions. The training loop and
    :class:`.checkpoint_callback.CheckpointCallback` check the attribute at points where the run can be saved.

    Attributes:
      requested: Whether the process received SIGTERM.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> PreemptionSignal:
        self._previous_handler = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._previous_handler)

    def raise_if_requested(self) -> None:
        """Raises :class:`Preempted` if the process received SIGTERM."""
        if self.requested:
            raise Preempted

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True

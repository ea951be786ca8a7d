"""SIGTERM, with which a cluster takes a machine away: ask the run to save and stop."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Preempted(Exception):
    """Training stopped because of SIGTERM, after everything was saved."""


class PreemptionSignal:
    """Listens for SIGTERM inside a ``with`` block. The previous handler is put back at the end.

    The handler only sets :attr:`requested`, because a handler can run between any two instructions. The training loop
    and :class:`.checkpoint_callback.CheckpointCallback` look at it where the run can be saved.

    Attributes:
      requested: Whether SIGTERM was received.
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
        """Raises :class:`Preempted` if SIGTERM was received."""
        if self.requested:
            raise Preempted

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True

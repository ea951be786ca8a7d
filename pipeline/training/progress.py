"""Shows how far a run is: one line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

# Signs of a bar, and seconds of which nothing need be said.
_BAR, _SHORT = 24, 2.0


class Line:
    """A line of text that changes.

    Args:
      stream: Where to write; a terminal gets a line that changes, anything else a line every ``seconds``.
      seconds: Least seconds between two plain lines.
      clock: Returns seconds; another one may be given by tests.
    """

    def __init__(self, stream: TextIO, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic):
        self._stream = stream
        self._seconds = seconds
        self._clock = clock
        self._terminal = stream.isatty()
        self._last_line = -float("inf")

    def show(self, text: str, now: float | None = None) -> None:
        """Puts this text in the line's place. ``now``: what the clock shows, where that is known."""
        now = self._clock() if now is None else now
        if self._terminal:
            self._stream.write(f"\r\x1b[2K{text}")
            self._stream.flush()
        elif now - self._last_line >= self._seconds:
            self._last_line = now
            self.note(text)

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        self._stream.write(f"\r\x1b[2K{text}\n" if self._terminal else f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Takes the line that changes away."""
        if self._terminal:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


class ProgressBar:
    """How much of something is done, and the time left.

    Args:
      stream: See :class:`Line`.
    """

    def __init__(self, stream: TextIO):
        self._line = Line(stream)
        self._began = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """Tells that so much of the total is done, more than nothing."""
        share = done / total
        filled = int(share * _BAR)
        left = (time.monotonic() - self._began) / done * (total - done)
        self._line.show(f"[{'#' * filled}{'.' * (_BAR - filled)}] {share:.0%}  {_duration(left)} left")

    def clear(self) -> None:
        """Takes it away."""
        self._line.clear()


class Look:
    """How far a look at the data is that comes before the first step; nothing is shown of a short one.

    Args:
      stream: See :class:`Line`.
      of: What is looked at, in the plural.
      clock: Returns seconds; another one may be given by tests.
    """

    def __init__(self, stream: TextIO, of: str, clock: Callable[[], float] = time.monotonic):
        self._line = Line(stream, clock=clock)
        self._of = of
        self._clock = clock
        self._began = clock()

    def show(self, done: int, total: int) -> None:
        """Tells that so many were looked at."""
        now = self._clock()
        if now - self._began > _SHORT:
            self._line.show(f"looking at the data: {done:,}/{total:,} {self._of}", now)
        if done == total:
            self._line.clear()


class Progress:
    """Step, loss, rate and time left.

    Args:
      total_steps: Steps of the whole run.
      batch_size: Rows of a step.
      stream: Where to write; a terminal gets a line that changes, anything else a line every ``seconds``.
      seconds: Least seconds between two plain lines.
      clock: Returns seconds; another one may be given by tests.
    """

    def __init__(
        self,
        total_steps: int,
        batch_size: int,
        stream: TextIO,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total = total_steps
        self._batch_size = batch_size
        self._line = Line(stream, seconds, clock)
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def update(self, step: int, loss: float) -> None:
        """Tells how far the run is."""
        now = self._clock()
        if self._first is None:
            # The first steps hold the tracing of the graph, which will not come again.
            self._first = (now, step)
        began, first_step = self._first
        rate = (step - first_step) / (now - began) if now > began else 0.0
        text = f"step {step:,}/{self._total:,}  loss {loss:.4f}"
        if rate:
            text += f"  {rate * self._batch_size:,.0f} examples/s  {_duration((self._total - step) / rate)} left"
        self._line.show(text, now)

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        self._line.note(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"

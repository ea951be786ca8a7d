"""Shows the progress of a run: one updating line on a terminal, and a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TextIO

from ...foundation.formatting import format_duration

_BAR_WIDTH = 24
# Scans that take less than this many seconds show no progress.
_SHORT_SCAN = 2.0
_CLEAR_LINE = "\r\x1b[2K"


class StatusLine:
    """A line of text that updates in place.

    Args:
      stream: The output. On a terminal, the line updates in place. Other outputs, such as a log file, get a new line
        every ``seconds`` seconds.
      seconds: Minimum time between two lines outside a terminal, in seconds.
      clock: Returns the time in seconds. Tests pass their own.
    """

    def __init__(self, stream: TextIO, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic):
        self._stream = stream
        self._seconds = seconds
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._last_line = -float("inf")
        self._text = ""

    def show(self, text: str, now: float | None = None) -> None:
        """Replaces the line. ``now`` is the clock's time; None reads the clock."""
        now = self._clock() if now is None else now
        if self._is_terminal:
            self._text = text
            self._write(f"{_CLEAR_LINE}{text}")
        elif now - self._last_line >= self._seconds:
            self._last_line = now
            self._write(f"{text}\n")

    def print_above(self, text: str) -> None:
        """Prints a permanent line above the updating line."""
        self._write(f"{_CLEAR_LINE}{text}\n{self._text}" if self._is_terminal else f"{text}\n")

    def clear(self) -> None:
        """Removes the line."""
        if self._is_terminal and self._text:
            self._text = ""
            self._write(_CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class ProgressBar:
    """Shows the completed share of a task and the remaining time.

    Args:
      stream: The output; see :class:`StatusLine`.
    """

    def __init__(self, stream: TextIO):
        self._line = StatusLine(stream)
        self._start = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """Shows that ``done`` units, at least one, of ``total`` are done."""
        share = done / total
        filled = int(share * _BAR_WIDTH)
        seconds_left = (time.monotonic() - self._start) / done * (total - done)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        self._line.show(f"[{bar}] {share:.0%}  {format_duration(seconds_left)} left")

    def clear(self) -> None:
        """Removes the bar."""
        self._line.clear()


class ScanProgress:
    """Shows the progress of a scan of the data before training. A scan of less than two seconds shows nothing.

    Args:
      stream: The output; see :class:`StatusLine`.
      task: The name of the scan, such as ``"checking the log"``.
      unit: The unit of progress, in the plural, such as ``"days"``.
      clock: Returns the time in seconds. Tests pass their own.
    """

    def __init__(self, stream: TextIO, task: str, unit: str, clock: Callable[[], float] = time.monotonic):
        self._line = StatusLine(stream, clock=clock)
        self._task = task
        self._unit = unit
        self._clock = clock
        self._start = clock()

    def show(self, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` units are done; removes the line at the end."""
        now = self._clock()
        if now - self._start > _SHORT_SCAN:
            self._line.show(f"{self._task}: {done:,} of {total:,} {self._unit}", now)
        if done == total:
            self._line.clear()


class TrainingProgress:
    """Shows step, loss, speed and time left, and prints messages above them.

    Args:
      total_steps: Number of steps of the whole run.
      batch_size: Rows per step.
      stream: The output; see :class:`StatusLine`.
      seconds: Minimum time between two lines outside a terminal, in seconds.
      clock: Returns the time in seconds. Tests pass their own.
    """

    def __init__(
        self,
        total_steps: int,
        batch_size: int,
        stream: TextIO,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total_steps = total_steps
        self._batch_size = batch_size
        self._line = StatusLine(stream, seconds, clock)
        self._clock = clock
        self._first_update: tuple[float, int] | None = None

    def update(self, step: int, loss: float | None) -> None:
        """Shows the number of completed steps and the last loss; None if no row had a label."""
        now = self._clock()
        if self._first_update is None:
            # The first steps include tracing the graph, which would distort the speed.
            self._first_update = (now, step)
        start, first_step = self._first_update
        text = f"step {step:,} of {self._total_steps:,}  {'no labels' if loss is None else f'loss {loss:.4g}'}"
        if now > start and step > first_step:
            steps_per_second = (step - first_step) / (now - start)
            seconds_left = (self._total_steps - step) / steps_per_second
            text += f"  {steps_per_second * self._batch_size:,.0f} examples/s  {format_duration(seconds_left)} left"
        self._line.show(text, now)

    def print_line(self, text: str) -> None:
        """Prints a permanent line."""
        self._line.print_above(text)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Prints permanent lines."""
        for line in lines:
            self.print_line(line)

    def close(self) -> None:
        """Removes the updating line, so that later output starts on a new line."""
        self._line.clear()

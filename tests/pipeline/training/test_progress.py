from __future__ import annotations

import io
from collections.abc import Iterable

from steadyrank.pipeline.training.progress import ScanProgress, StatusLine, TrainingProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_clock(times: Iterable[float]):
    ticks = iter(times)
    return lambda: next(ticks)


def make_progress(stream: io.StringIO, times: Iterable[float]) -> TrainingProgress:
    return TrainingProgress(1000, 64, stream, seconds=10, clock=make_clock(times))


def test_a_log_file_gets_a_plain_line_every_ten_seconds():
    stream = io.StringIO()
    progress = make_progress(stream, [0.0, 5.0, 12.0])
    for step in (100, 150, 220):
        progress.update(step, 0.5)
    assert stream.getvalue().splitlines() == [
        "step 100 of 1,000  loss 0.5",
        "step 220 of 1,000  loss 0.5  640 examples/s  1 min 18 s left",
    ]


def test_a_terminal_shows_one_updating_line_below_permanent_messages():
    stream = Terminal()
    progress = make_progress(stream, [0.0, 1.0])
    progress.update(100, 0.5)
    progress.update(110, 0.25)
    progress.print_line("step 110: something happened")
    assert stream.getvalue().count("\n") == 1
    status = "step 110 of 1,000  loss 0.25  640 examples/s  1 min 29 s left"
    assert stream.getvalue().endswith(f"\r\x1b[2K{status}\r\x1b[2Kstep 110: something happened\n{status}")
    progress.close()
    assert stream.getvalue().endswith(f"{status}\r\x1b[2K")


def test_long_durations_are_shown_in_hours():
    stream = io.StringIO()
    progress = make_progress(stream, [0.0, 3600.0])
    progress.update(0, 1.0)
    progress.update(100, 1.0)
    assert "9 h 00 min left" in stream.getvalue()


def test_a_huge_loss_stays_short():
    stream = io.StringIO()
    make_progress(stream, [0.0]).update(1, 3521929.8785)
    assert stream.getvalue() == "step 1 of 1,000  loss 3.522e+06\n"


def test_clearing_an_empty_status_line_writes_nothing():
    stream = Terminal()
    StatusLine(stream).clear()
    assert not stream.getvalue()


def test_a_scan_is_shown_only_if_it_takes_longer_than_two_seconds():
    stream = Terminal()
    short = ScanProgress(stream, "checking the log", "days", clock=make_clock([0.0, 1.0, 1.5]))
    short.show(1, 2)
    short.show(2, 2)
    assert not stream.getvalue()
    long = ScanProgress(stream, "checking the log", "days", clock=make_clock([0.0, 3.0, 4.0]))
    long.show(1, 2)
    assert stream.getvalue() == "\r\x1b[2Kchecking the log: 1 of 2 days"
    long.show(2, 2)
    assert stream.getvalue().endswith("\r\x1b[2K")

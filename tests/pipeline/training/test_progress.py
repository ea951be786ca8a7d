from __future__ import annotations

import io

from steadyrank.pipeline.training.progress import TrainingProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(stream, times):
    ticks = iter(times)
    return TrainingProgress(1000, 64, stream, seconds=10, clock=lambda: next(ticks))


def test_plain_lines_now_and_then_elsewhere():
    stream = io.StringIO()
    shown = progress(stream, [0.0, 5.0, 12.0])
    for step in (100, 150, 220):
        shown.update(step, 0.5)
    assert stream.getvalue().splitlines() == [
        "step 100/1,000  loss 0.5000",
        "step 220/1,000  loss 0.5000  640 examples/s  1m18s left",
    ]


def test_one_line_that_changes_on_a_terminal_and_notes_that_stay():
    stream = Terminal()
    shown = progress(stream, [0.0, 1.0])
    shown.update(100, 0.5)
    shown.update(110, 0.25)
    shown.note("step 110: something happened")
    assert "\n" not in stream.getvalue().partition("something happened")[0]
    assert stream.getvalue().endswith("\r\x1b[2Kstep 110: something happened\n")


def test_hours_are_told():
    stream = io.StringIO()
    shown = progress(stream, [0.0, 3600.0])
    shown.update(0, 1.0)
    shown.update(100, 1.0)
    assert "9h00m left" in stream.getvalue()

from __future__ import annotations

import math
from typing import Any

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.analysis.input_wait import BOTTLENECK_SHARE, InputWait, measure_input_wait


def make_line(step: int, share: Any, rate: float = 100.0, day: str = "a") -> dict[str, Any]:
    return {"step": step, "input_wait_fraction": share, "examples_per_second": rate, "day": day}


def measure(share: Any = None, train=()) -> InputWait | None:
    return measure_input_wait(RunRecord("r", status={"input_wait_fraction": share}, train=train))


def test_the_share_of_the_status_takes_precedence_over_publications():
    assert measure(0.02, [make_line(32, 0.9)]).share == 0.02


def test_publications_are_weighted_by_their_time():
    # 90 steps at 300 rows per second take three times as long as 10 steps at 100 rows per second.
    assert measure(None, [make_line(10, 0.8, 100.0), make_line(100, 0.2, 300.0)]).share == pytest.approx(0.35)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, None, "text", True, [1]])
def test_values_that_are_not_shares_are_skipped(bad):
    assert measure(bad) is None
    lines = [
        make_line(10, 0.3),
        make_line(20, bad),
        make_line(30, 0.9, rate=0.0),
        make_line(40, 0.9, rate=math.nan),
        make_line(5, 0.9),
        {},
    ]
    assert measure(bad, lines).share == pytest.approx(0.3)


def test_a_share_above_one_counts_as_one():
    assert measure(1.2).share == 1.0


@pytest.mark.parametrize(("share", "expected"), [(BOTTLENECK_SHARE - 0.001, False), (BOTTLENECK_SHARE, True)])
def test_waiting_is_a_bottleneck_from_a_tenth_of_the_time_on(share, expected):
    assert measure(share).is_bottleneck == expected


def test_waiting_in_the_first_publications_of_days_is_waiting_at_day_starts():
    long_days = [
        make_line(32 * index, 0.9 if index % 5 == 1 else 0.05, day=f"d{(index - 1) // 5}") for index in range(1, 16)
    ]
    assert measure(0.22, long_days).is_at_day_starts
    assert not measure(0.22, [line | {"input_wait_fraction": 0.22} for line in long_days]).is_at_day_starts


def test_days_of_one_publication_do_not_count_as_waiting_at_day_starts():
    short_days = [make_line(32 * index, 0.5, day=f"d{index}") for index in range(1, 6)]
    assert not measure(0.22, short_days).is_at_day_starts

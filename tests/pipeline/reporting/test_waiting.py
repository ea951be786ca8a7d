from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.waiting import WORTH_MENDING, bottleneck, share_waited, waited


def line(step: int, share: float, rate: float = 100.0, day: str = "a") -> dict:
    return {"step": step, "input_wait_fraction": share, "examples_per_second": rate, "day": day}


def run(share=None, train=(), **data) -> RunRecord:
    return RunRecord(
        "r", status={} if share is None else {"input_wait_fraction": share}, train=train, config={"data": data}
    )


def test_the_share_of_all_training_goes_before_that_of_publications():
    assert share_waited(run(0.02, [line(32, 0.9)])) == 0.02


def test_publications_weigh_by_their_time():
    # 90 steps at 300 rows a second take three times as long as ten steps at 100.
    assert share_waited(run(None, [line(10, 0.8, 100.0), line(100, 0.2, 300.0)])) == pytest.approx(0.35)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, None, "text", True, [1]])
def test_what_is_no_share_is_passed_over(bad):
    assert share_waited(run(bad)) is None
    assert waited(run(bad)) == []
    lines = [line(10, 0.3), line(20, bad), line(30, 0.9, rate=0.0), line(40, 0.9, rate=math.nan), line(5, 0.9), {}]
    assert share_waited(run(bad, lines)) == pytest.approx(0.3)


def test_a_share_above_one_is_all_of_the_time():
    assert share_waited(run(1.2)) == 1.0
    assert "100 % of the time" in bottleneck(run(1.2))[0]


def test_a_bottleneck_is_told_from_a_tenth_on():
    assert bottleneck(run(WORTH_MENDING - 0.001)) == []
    assert waited(run(0.008)) == ["Training waited for input 0.8 % of the time."]
    (text,) = waited(run(0.34))
    assert text == bottleneck(run(0.34))[0]
    assert "34 % of the time" in text
    assert "1.5 times as fast" in text


def test_the_advice_is_that_of_the_logs_kind():
    assert "convert" not in bottleneck(run(0.5, source="simulated"))[0]
    (text,) = bottleneck(run(0.5, source="files"))
    assert "Parquet instead of TFRecord (python -m steadyrank.pipeline.convert)" in text
    assert "65,536 rows" in text
    assert "data.service" not in text, "a version without that setting"
    assert "data.service" in bottleneck(run(0.5, source="files", service=""))[0]
    assert "data.service" not in bottleneck(run(0.5, source="files", service="grpc://there"))[0]
    assert bottleneck(dataclasses.replace(run(0.5), config={"data": "odd"}))


def test_waiting_at_the_beginning_of_days_has_its_own_advice():
    long = [line(32 * place, 0.9 if place % 5 == 1 else 0.05, day=f"d{(place - 1) // 5}") for place in range(1, 16)]
    (text,) = bottleneck(run(0.22, long, source="files", shuffle_rows=1000))
    assert "at the beginning of days" in text
    assert "fewer, longer days, or a smaller data.shuffle_rows" in text
    assert "shuffle_rows" not in bottleneck(run(0.22, long, source="files"))[0]
    even = [one | {"input_wait_fraction": 0.22} for one in long]
    assert "beginning" not in bottleneck(run(0.22, even, source="files"))[0]
    # Where a day is one publication, its beginning is all there is.
    short = [line(32 * place, 0.5, day=f"d{place}") for place in range(1, 6)]
    assert "beginning" not in bottleneck(run(0.5, short, source="files"))[0]

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.speed import describe_bottleneck, describe_input_wait


def make_line(step: int, share: Any, day: str = "a") -> dict[str, Any]:
    return {"step": step, "input_wait_fraction": share, "examples_per_second": 100.0, "day": day}


def make_run(share: Any = None, train=(), **data) -> RunRecord:
    return RunRecord("r", status={"input_wait_fraction": share}, train=train, config={"data": data})


@pytest.mark.parametrize("bad", [math.nan, -0.1, None, "text"])
def test_nothing_is_said_if_nothing_is_known(bad):
    assert describe_input_wait(make_run(bad)) == describe_bottleneck(make_run(bad)) == ""


def test_a_short_wait_is_one_sentence_without_advice():
    assert describe_input_wait(make_run(0.008)) == "Training waited for input 0.8% of the time."
    assert describe_bottleneck(make_run(0.008)) == ""


def test_a_bottleneck_is_described_with_its_cost():
    text = describe_input_wait(make_run(0.34))
    assert text == describe_bottleneck(make_run(0.34))
    assert text.startswith(
        "Input is a bottleneck: training waited for it 34% of the time. "
        "Without waiting, training would be up to 1.5 times as fast. "
    )
    assert "100% of the time" in describe_bottleneck(make_run(1.2))
    assert "many times as fast" in describe_bottleneck(make_run(1.2))


def test_the_advice_depends_on_the_kind_of_log():
    assert "convert" not in describe_bottleneck(make_run(0.5, source="simulated"))
    text = describe_bottleneck(make_run(0.5, source="files"))
    assert "from TFRecord to Parquet (python -m steadyrank.pipeline.convert)" in text
    assert "65,536 rows" in text
    assert "data.service" not in text, "the record is older than that setting"
    assert "data.service" in describe_bottleneck(make_run(0.5, source="files", service=""))
    assert "data.service" not in describe_bottleneck(make_run(0.5, source="files", service="grpc://host"))
    assert describe_bottleneck(dataclasses.replace(make_run(0.5), config={"data": "odd"}))


def test_waiting_at_the_start_of_days_has_its_own_advice():
    long_days = [
        make_line(32 * index, 0.9 if index % 5 == 1 else 0.05, day=f"d{(index - 1) // 5}") for index in range(1, 16)
    ]
    text = describe_bottleneck(make_run(0.22, long_days, source="files", shuffle_rows=1000))
    assert "at the beginning of days" in text
    assert "fewer, longer days, or a smaller data.shuffle_rows" in text
    assert "shuffle_rows" not in describe_bottleneck(make_run(0.22, long_days, source="files"))
    even = [line | {"input_wait_fraction": 0.22} for line in long_days]
    assert "at the beginning of days" not in describe_bottleneck(make_run(0.22, even, source="files"))

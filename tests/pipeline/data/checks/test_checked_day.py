from __future__ import annotations

import json

import pytest

from steadyrank.pipeline.data.checks import Anomaly, CheckedDay

DAY = CheckedDay(
    name="day=2026-11-06",
    rows=1000,
    files=2,
    content=12345,
    statistics={"age": {"missing": 0.0, "mean": 35.0}},
    anomalies=(
        Anomaly("shifted", "age", "the mean of age is 35; the 5 days before had 3", 9.5),
        Anomaly("rows", "", "the day has 1,000 rows; the 5 days before had 9,000"),
    ),
    skipped=True,
)


def test_a_day_survives_json():
    written = json.loads(json.dumps(DAY.to_dict()))
    assert CheckedDay.from_dict(written | {"use": "skipped"}) == DAY
    assert written["anomalies"][1] == {
        "check": "rows",
        "column": "",
        "text": "the day has 1,000 rows; the 5 days before had 9,000",
    }


@pytest.mark.parametrize(("skipped", "start"), [(True, "Skipped day=2026-11-06: "), (False, "day=2026-11-06: ")])
def test_each_anomaly_is_one_line_that_names_the_day(skipped, start):
    day = CheckedDay(**vars(DAY) | {"skipped": skipped})
    assert day.anomaly_lines() == [
        f"{start}the mean of age is 35; the 5 days before had 3",
        f"{start}the day has 1,000 rows; the 5 days before had 9,000",
    ]


def test_a_log_without_day_folders_is_called_the_log():
    day = CheckedDay(**vars(DAY) | {"name": "", "skipped": False, "anomalies": DAY.anomalies[1:]})
    assert day.anomaly_lines() == ["the log: the day has 1,000 rows; the 5 days before had 9,000"]

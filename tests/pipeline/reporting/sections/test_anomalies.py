from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from steadyrank.foundation.run_terms import DayUse
from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.figures.day_map import USE_COLORS
from steadyrank.pipeline.reporting.sections.anomalies import USE_NAMES, format_deviations
from steadyrank.pipeline.reporting.sections.data import make_data_section
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import SHIFTED, make_log_day


def read_text(run: RunRecord) -> str:
    return ParsedPage(make_data_section(run)).text


def test_each_anomaly_has_a_row(checked):
    text = read_text(checked)
    assert "The checks found 2 anomalies. 3 of 5 days have none." in text
    assert (
        "day=2026-11-03 training age Shifted the mean of age is 4,120; the 2 days before had 31.2 "
        "(12.3 standard deviations)" in text
    )
    assert (
        "day=2026-11-04 skipped whole day Number of rows the day has 9,000 rows; the 3 days before had 65,536" in text
    )


def test_days_without_anomalies_are_said_to_have_none(healthy):
    text = read_text(dataclasses.replace(healthy, log={"days": [make_log_day(1), make_log_day(2)]}))
    assert "The checks found no anomalies." in text
    assert "No days were skipped." in text


def test_of_many_anomalies_the_most_important_are_open_and_all_can_be_opened(checked):
    checked.log["days"][2]["anomalies"] = [
        SHIFTED | {"column": f"c{index:03d}", "score": float(index)} for index in range(100)
    ]
    page = make_data_section(checked)
    opened, closed = page.split("<details>", 1)
    assert "c099" in opened
    assert "c070" not in opened
    assert "Number of rows" in opened, "the anomaly of the skipped day comes first"
    assert "All 101 anomalies" in closed
    assert "c000" in closed


def test_every_use_of_a_day_has_a_name_and_a_color():
    assert USE_NAMES.keys() == USE_COLORS.keys() == set(get_args(DayUse))


@pytest.mark.parametrize(
    ("size", "text"),
    [(0.304, "0.30"), (12.345, "12.3"), (1022.2, "1,022"), (1e9, "1e9"), (float("inf"), "no deviation before")],
)
def test_deviations_have_only_the_digits_that_matter(size, text):
    assert format_deviations(size) == text

from __future__ import annotations

import dataclasses
import re

import pytest

from steadyrank.pipeline.reporting.figures.palette import INK
from steadyrank.pipeline.reporting.sections.data import make_data_section
from tests.pipeline.reporting.page_parser import ParsedPage, find_wide_figure, read_texts
from tests.pipeline.reporting.records import SHIFTED, make_log_day


def read_names(page: str) -> set[str]:
    """The texts of the wide map, its rows among them."""
    return set(read_texts(find_wide_figure(page)))


def test_the_map_shows_the_columns_that_moved_and_the_labels(checked):
    page = make_data_section(checked)
    assert {"age", "click (label)", "03"} <= read_names(page)
    assert not {"still", "country", "age, missing"} & read_names(page)
    text = ParsedPage(page).text
    assert "anomaly in this column" in text
    # (4120 - 31.2) / 4 standard deviations.
    assert "4120 day=2026-11-03 1,022" in text


def test_a_label_is_found_by_its_column(checked):
    run = dataclasses.replace(checked, tasks=[{"name": "ctr", "kind": "binary", "label": "click"}])
    assert "click (label)" in read_names(make_data_section(run))


def test_missing_values_have_a_row_of_their_own(checked):
    day = checked.log["days"][1]
    day["statistics"]["country"]["missing"] = 0.4
    day["anomalies"] = [{"check": "missing_values", "column": "country", "text": "40% missing"}]
    page = make_data_section(checked)
    assert "country, missing" in read_names(page)
    assert "40% day=2026-11-02" in ParsedPage(page).text


@pytest.mark.parametrize("check", ["shifted", "missing_values"])
def test_an_anomaly_is_ringed_in_the_row_that_it_concerns(checked, check):
    day = checked.log["days"][2]
    day["statistics"]["age"]["missing"] = 0.4
    day["anomalies"] = [SHIFTED | {"check": check}]
    page = make_data_section(checked)
    assert {"age", "age, missing"} <= read_names(page)
    figure = find_wide_figure(page)
    (ring,) = re.findall(rf'<use [^>]* y="([^"]*)"[^>]*stroke: {INK}', figure)
    heights = {name: float(y) for y, name in re.findall(r'<text[^>]* y="([^"]*)"[^>]*>(age[^<]*)</text>', figure)}
    nearest = min(heights, key=lambda name: abs(heights[name] - float(ring)))
    assert nearest == ("age" if check == "shifted" else "age, missing")


def test_one_day_has_no_figure(healthy):
    page = make_data_section(dataclasses.replace(healthy, log={"days": [make_log_day(1)]}))
    assert "<figure" not in page
    assert "has 1 day and 65,536 rows" in ParsedPage(page).text


@pytest.mark.parametrize(("rows", "expected"), [([100, 99, 101], False), ([100, 50, 101], True), ([None, None], False)])
def test_the_rows_of_each_day_are_drawn_if_they_differ(healthy, rows, expected):
    days = [{"name": f"d{index}", "rows": count, "use": "training"} for index, count in enumerate(rows)]
    page = make_data_section(dataclasses.replace(healthy, log={"days": days}))
    assert ("Rows of each day" in page) == expected


def test_the_figure_of_many_columns_and_days_stays_small(healthy):
    days = [
        {
            "name": f"day_{day:03d}",
            "rows": 1000 + day,
            "use": "training",
            "statistics": {
                f"column_{column}": {"missing": 0.0, "mean": float((column * day) % 7), "deviation": 1.0}
                for column in range(60)
            },
        }
        for day in range(200)
    ]
    page = make_data_section(dataclasses.replace(healthy, log={"days": days}))
    assert len(page.encode()) < 300_000
    assert "The figure shows the last 90 days." in page
    assert "others are smaller" in page

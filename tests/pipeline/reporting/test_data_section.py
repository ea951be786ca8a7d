from __future__ import annotations

import copy
import dataclasses
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting import RunRecord, render
from steadyrank.pipeline.reporting.data_section import data_section, left_out
from steadyrank.pipeline.reporting.svg import INK

from .test_days import JSON
from .test_page import EVIL, Page

SHIFTED = {"check": "shifted", "column": "age", "text": "mean 4,120 where the days before had 31.2", "score": 12.34}
FEW = {"check": "rows", "column": "", "text": "9,000 rows where the days before had 65,536"}


def day(place: int, use: str = "training", rows: int = 65_536, age: float = 31.2, findings=()) -> dict:
    return {
        "name": f"day=2026-11-{place:02d}",
        "rows": rows,
        "files": 4,
        "use": use,
        "statistics": {
            "age": {"missing": 0.01, "mean": age, "deviation": 4.0},
            "country": {"missing": 0.0, "distinct": 12},
            "still": {"missing": 0.0, "mean": 1.0, "deviation": 1.0},
            "click": {"missing": 0, "mean": 0.12, "deviation": 0.32},
        },
        "anomalies": [dict(each) for each in findings],
    }


@pytest.fixture
def watched(healthy) -> RunRecord:
    days = [day(1), day(2), day(3, age=4120.0, findings=[SHIFTED]), day(4, "skipped", 9000, findings=[FEW])]
    return dataclasses.replace(healthy, log={"source": "gs://bucket/log", "days": [*days, day(5, "holdout")]})


def text_of(run: RunRecord) -> str:
    return Page(data_section(run)).text


def with_status(run: RunRecord, **status) -> RunRecord:
    return dataclasses.replace(run, status={**run.status, **status})


@pytest.mark.parametrize(
    "log", [{}, {"source": "x"}, {"days": []}, {"days": None}, {"days": [3, None]}, None, [1], "log"]
)
def test_without_days_and_without_skipped_rows_there_is_no_section(healthy, log):
    run = dataclasses.replace(healthy, log=log)
    for status in ({}, {"skipped": {}, "clamped": None}, {"skipped": {"age: not finite": 0}}, {"skipped": [3]}):
        assert data_section(with_status(run, **status)) == ""
    assert "<h2>Data</h2>" not in render(run)


def test_the_days_and_their_rows_are_said(watched):
    text = text_of(watched)
    assert "The log, gs://bucket/log, has 5 days and 271,144 rows. 1 day (9,000 rows) was left out of training." in text
    assert "No row was skipped." in text
    assert "2 findings; 3 of 5 days without any." in text
    assert "<h2>Data</h2>" in render(watched)


def test_rows_that_are_not_all_known_are_not_added_up(watched):
    del watched.log["days"][1]["rows"]
    text = text_of(with_status(watched, skipped={"age: not finite": 10}))
    assert "has 5 days. 1 day (9,000 rows)" in text
    assert "10 rows were skipped and trained nothing." in text


def test_skipped_and_clamped_rows_are_told_with_their_share_and_reason(watched):
    run = with_status(watched, skipped={"age: not finite": 2621}, clamped={"price: above 1,000": 26_214})
    text = text_of(run)
    # Of the four days that were not left out.
    assert "2,621 rows were skipped (1.0 %) and trained nothing. In 26,214 rows (10 %) values were clamped." in text
    assert "quarantine.jsonl" in text
    assert "age: not finite skipped 2,621 1.0 %" in text
    assert "price: above 1,000 clamped 26,214 10 %" in text
    assert "several faults" not in text


@pytest.mark.parametrize(("together", "said"), [({"skipped_rows": 9}, "9 rows"), ({}, "At most 12 rows")])
def test_rows_with_several_faults_are_counted_once_where_that_is_known(healthy, together, said):
    run = with_status(healthy, skipped={"a": 7, "b": 5}, **together)
    assert f"{said} were skipped" in text_of(run).removeprefix(" Data ")
    assert "A row with several faults counts for each of them." in text_of(run)


def test_a_run_that_has_not_ended_tells_of_the_rows_met_so_far(healthy):
    train = [{"step": 32, "skipped_examples": 1}, {"step": 64, "skipped_examples": math.nan}]
    run = dataclasses.replace(healthy, train=train)
    assert "1 row was skipped and trained nothing." in text_of(run)
    assert "<table" not in data_section(run)


def test_each_finding_has_a_row(watched):
    text = text_of(watched)
    assert (
        "day=2026-11-03 trained age Shifted mean 4,120 where the days before had 31.2 (12.34 usual deviations)" in text
    )
    assert "day=2026-11-04 left out whole day Number of rows 9,000 rows where the days before had 65,536" in text


def test_days_without_findings_are_said_to_be_so(healthy):
    run = dataclasses.replace(healthy, log={"days": [day(1), day(2)]})
    text = text_of(run)
    assert "The checks of the days found nothing." in text
    assert "No day was left out." in text


def test_of_many_findings_the_weightiest_are_open_and_all_are_there(watched):
    many = [SHIFTED | {"column": f"c{place:03d}", "score": float(place)} for place in range(100)]
    watched.log["days"][2]["anomalies"] = many
    page = data_section(watched)
    opened, closed = page.split("<details>", 1)
    assert "c099" in opened
    assert "c070" not in opened
    assert "Number of rows" in opened, "that of the day that was left out"
    assert "All 101 findings" in closed
    assert "c000" in closed


def names(page: str) -> set[str]:
    """The rows of the wide map."""
    (wide,) = re.findall(r'<figure class="wide">(.*?)</figure>', page)
    return set(re.findall(r"<text[^>]*>([^<]*)</text>", wide))


def test_the_map_shows_what_moved_and_the_labels(watched):
    page = data_section(watched)
    assert {"age", "click (label)", "03"} <= names(page)
    assert not {"still", "country", "age, missing"} & names(page)
    assert "found in this column" in page
    assert "skipped" in Page(page).text
    # (4120 - 31.2) / 4 deviations.
    assert "4120 day=2026-11-03 1,022" in Page(page).text


def test_a_label_is_found_by_its_column(watched):
    run = dataclasses.replace(watched, tasks=[{"name": "ctr", "kind": "binary", "label": "click"}])
    assert "click (label)" in names(data_section(run))


def test_missing_values_have_a_row_of_their_own(watched):
    watched.log["days"][1]["statistics"]["country"]["missing"] = 0.4
    watched.log["days"][1]["anomalies"] = [{"check": "missing_values", "column": "country", "text": "40 % missing"}]
    page = data_section(watched)
    assert "country, missing" in names(page)
    assert "40 % day=2026-11-02" in Page(page).text


@pytest.mark.parametrize("check", ["shifted", "missing_values"])
def test_a_finding_is_ringed_in_the_row_of_what_was_found(watched, check):
    watched.log["days"][2]["statistics"]["age"]["missing"] = 0.4
    watched.log["days"][2]["anomalies"] = [SHIFTED | {"check": check}]
    page = data_section(watched)
    assert {"age", "age, missing"} <= names(page)
    (wide,) = re.findall(r'<figure class="wide">(.*?)</figure>', page)
    (ring,) = re.findall(rf'<use [^>]* y="([^"]*)"[^>]*stroke: {INK}', wide)
    height = {name: float(y) for y, name in re.findall(r'<text[^>]* y="([^"]*)"[^>]*>(age[^<]*)</text>', wide)}
    nearest = min(height, key=lambda name: abs(height[name] - float(ring)))
    assert nearest == ("age" if check == "shifted" else "age, missing")


def test_one_day_has_no_figure(healthy):
    page = data_section(dataclasses.replace(healthy, log={"days": [day(1)]}))
    assert "<figure" not in page
    assert "has 1 day and 65,536 rows" in Page(page).text


def test_rows_by_day_are_drawn_where_they_differ(healthy):
    def drawn(*rows):
        days = [{"name": f"d{place}", "rows": one, "use": "training"} for place, one in enumerate(rows)]
        return "Rows of each day" in data_section(dataclasses.replace(healthy, log={"days": days}))

    assert not drawn(100, 99, 101)
    assert drawn(100, 50, 101)
    assert not drawn(None, None)


def test_the_top_of_the_page_tells_of_days_that_were_left_out(watched, healthy):
    assert left_out(healthy) == []
    assert left_out(watched) == ["1 day of the log was left out of training: day=2026-11-04. See Data below."]
    text = Page(render(watched)).text
    assert text.index("left out of training") < text.index("Tasks on the held-out days")


def test_input_as_a_bottleneck_is_said_at_the_top_and_beside_the_speed(healthy):
    fine = Page(render(with_status(healthy, input_wait_fraction=0.004))).text
    assert fine.count("Training waited for input 0.4 % of the time.") == 1
    slow = Page(render(with_status(healthy, input_wait_fraction=0.4))).text
    assert slow.count("Input is a bottleneck: training waited for it 40 % of the time") == 2
    assert slow.index("Input is a bottleneck") < slow.index("Tasks on the held-out days")


def test_whatever_the_log_holds_is_text(watched):
    evil = {"check": EVIL, "column": EVIL, "text": EVIL, "score": EVIL}
    for place, each in enumerate(watched.log["days"]):
        each |= {"name": f"{EVIL}{place}", "anomalies": [evil, SHIFTED | {"column": EVIL}]}
        each["statistics"][EVIL] = {"missing": 0.0, "mean": float(place), "deviation": 1.0}
    watched.log["days"][2]["use"] = EVIL
    watched.log["source"] = EVIL
    run = with_status(watched, skipped={EVIL: 3}, clamped={EVIL: 3})
    text = render(dataclasses.replace(run, tasks=[{"name": EVIL, "kind": "binary"}]))
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert f"{EVIL}2" in Page(text).text


def test_equal_records_give_equal_sections(watched):
    assert data_section(watched) == data_section(copy.deepcopy(watched))


def test_ids_stand_once_and_every_reference_is_met(watched):
    page = Page(render(watched))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_nothing_in_place_of_a_part_makes_a_page_fail(data):
    days = [day(1), day(2, age=90.0, findings=[SHIFTED]), day(3, "skipped")]
    run = RunRecord(
        "r",
        status={"skipped": {"a": 3}, "clamped": {"b": 1}},
        log={"source": "x", "days": days},
        tasks=[{"name": "click"}],
    )
    statistics = days[1]["statistics"]
    parts = [run.status, run.log, days[1], statistics, statistics["age"], days[1]["anomalies"][0]]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    Page(data_section(run))
    left_out(run)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.8e308, -1.8e308, 0.0, 10**400, None, "text"])
def test_no_value_makes_a_section_fail(watched, value):
    for each in watched.log["days"]:
        each["statistics"] = {name: dict.fromkeys(found, value) for name, found in each["statistics"].items()}
        each |= {"rows": value, "files": value}
        each["anomalies"] = [SHIFTED | {"score": value}]
    assert "age" in text_of(with_status(watched, skipped={"age": value}, clamped={"age": value}))


def test_many_columns_and_days_stay_small(healthy):
    days = []
    for place in range(200):
        statistics = {
            f"column_{c}": {"missing": 0.0, "mean": float((c * place) % 7), "deviation": 1.0} for c in range(60)
        }
        days.append({"name": f"day_{place:03d}", "rows": 1000 + place, "use": "training", "statistics": statistics})
    page = data_section(dataclasses.replace(healthy, log={"days": days}))
    assert len(page.encode()) < 300_000
    assert "The last 90 days." in page
    assert "others moved less" in page

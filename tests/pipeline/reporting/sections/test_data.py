from __future__ import annotations

import copy
import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting import RunRecord, render
from steadyrank.pipeline.reporting.sections.data import describe_leaks, describe_skipped_days, make_data_section
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import HOSTILE_TEXT, SHIFTED, make_log_day, with_status
from tests.pipeline.reporting.strategies import JSON


def read_text(run: RunRecord) -> str:
    return ParsedPage(make_data_section(run)).text


@pytest.mark.parametrize(
    "log", [{}, {"source": "x"}, {"days": []}, {"days": None}, {"days": [3, None]}, None, [1], "log"]
)
def test_without_days_and_without_faulty_rows_there_is_no_section(healthy, log):
    run = dataclasses.replace(healthy, log=log)
    for status in ({}, {"skipped": {}, "clamped": None}, {"skipped": {"age: not finite": 0}}, {"skipped": [3]}):
        assert make_data_section(with_status(run, **status)) == ""
    assert "<h2>Data</h2>" not in render(run)


def test_the_days_and_their_rows_are_counted(checked):
    text = read_text(checked)
    assert "The log gs://bucket/log has 5 days and 271,144 rows. 1 day (9,000 rows) was skipped." in text
    assert "No rows were skipped." in text
    assert "<h2>Data</h2>" in render(checked)


def test_rows_are_not_summed_if_some_are_unknown(checked):
    del checked.log["days"][1]["rows"]
    text = read_text(with_status(checked, skipped={"age: not finite": 10}))
    assert "has 5 days. 1 day (9,000 rows) was skipped." in text
    assert "10 rows were skipped." in text


def test_the_days_are_listed(checked):
    text = read_text(checked)
    assert "day=2026-11-03 training 65,536 4 1" in text
    assert "day=2026-11-04 skipped 9,000 4 1" in text
    assert "day=2026-11-05 held out 65,536 4 \N{EN DASH}" in text


def test_skipped_days_are_named(checked, healthy):
    assert describe_skipped_days(healthy) == ""
    assert describe_skipped_days(checked) == "1 day of the log was skipped: day=2026-11-04. See the section Data."
    checked.log["days"] = [make_log_day(number, "skipped") for number in (1, 2, 3, 4)]
    assert "4 days of the log were skipped: from day=2026-11-01 to day=2026-11-04." in describe_skipped_days(checked)


def test_possible_leaks_are_listed(healthy):
    leak = "revenue<b> alone predicts bought (AUC 0.9998)"
    run = with_status(dataclasses.replace(healthy, log={}), leaks=[leak, 3])
    assert f"Possible leak: {leak}. Remove such a feature from the schema unless" in read_text(run)
    assert describe_leaks(run) == "The metrics may be too good: there is 1 possible leak. See the section Data."
    assert describe_leaks(run) in ParsedPage(render(run)).text
    for leaks in ([], None, "text", [3]):
        assert describe_leaks(with_status(healthy, leaks=leaks)) == ""


def test_names_and_texts_of_the_log_are_escaped(checked):
    hostile = {"check": HOSTILE_TEXT, "column": HOSTILE_TEXT, "text": HOSTILE_TEXT, "score": HOSTILE_TEXT}
    for index, day in enumerate(checked.log["days"]):
        day |= {"name": f"{HOSTILE_TEXT}{index}", "anomalies": [hostile, SHIFTED | {"column": HOSTILE_TEXT}]}
        day["statistics"][HOSTILE_TEXT] = {"missing": 0.0, "mean": float(index), "deviation": 1.0}
    checked.log["days"][2]["use"] = HOSTILE_TEXT
    checked.log["source"] = HOSTILE_TEXT
    run = with_status(checked, skipped={HOSTILE_TEXT: 3}, clamped={HOSTILE_TEXT: 3})
    text = render(dataclasses.replace(run, tasks=[{"name": HOSTILE_TEXT, "kind": "binary"}]))
    page = ParsedPage(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert f"{HOSTILE_TEXT}2" in page.text


def test_equal_records_give_equal_sections(checked):
    assert make_data_section(checked) == make_data_section(copy.deepcopy(checked))


def test_ids_are_unique_and_every_reference_exists(checked):
    page = ParsedPage(render(checked))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_malformed_part_makes_the_section_fail(data):
    days = [make_log_day(1), make_log_day(2, age=90.0, anomalies=[SHIFTED]), make_log_day(3, "skipped")]
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
    ParsedPage(make_data_section(run))
    describe_skipped_days(run)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.8e308, -1.8e308, 0.0, 10**400, None, "text"])
def test_no_value_makes_the_section_fail(checked, value):
    for day in checked.log["days"]:
        day["statistics"] = {name: dict.fromkeys(column, value) for name, column in day["statistics"].items()}
        day |= {"rows": value, "files": value}
        day["anomalies"] = [SHIFTED | {"score": value}]
    assert "age" in read_text(with_status(checked, skipped={"age": value}, clamped={"age": value}))

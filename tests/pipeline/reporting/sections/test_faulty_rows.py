from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.data import make_data_section
from steadyrank.pipeline.reporting.sections.faulty_rows import count_faulty_rows
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import with_status


def read_text(run: RunRecord) -> str:
    return ParsedPage(make_data_section(run)).text


def test_skipped_and_clamped_rows_are_counted_with_share_and_reason(checked):
    run = with_status(checked, skipped={"age: not finite": 2621}, clamped={"price: above 1,000": 26_214})
    text = read_text(run)
    # The shares are those of the four days that were not skipped.
    assert "2,621 rows (1.0%) were skipped. Values were clamped in 26,214 rows (10%)." in text
    assert "quarantine.jsonl" in text
    assert "age: not finite skipped 2,621 1.0%" in text
    assert "price: above 1,000 clamped 26,214 10%" in text
    assert "several faults" not in text


@pytest.mark.parametrize(("total", "expected"), [({"skipped_rows": 9}, " 9 rows"), ({}, "At most 12 rows")])
def test_rows_with_several_faults_are_counted_once_if_the_total_is_known(healthy, total, expected):
    text = read_text(with_status(healthy, skipped={"a": 7, "b": 5}, **total))
    assert f"{expected} were skipped." in text
    assert "A row with several faults counts for each of them." in text


def test_reasons_are_sorted_by_their_rows(healthy):
    faulty = count_faulty_rows(with_status(healthy, skipped={"a": 1, "b": 5, "c": 0}, clamped={"d": 2, "e": 3}))
    assert list(faulty.skipped_by_reason) == ["b", "a"]
    assert list(faulty.clamped_by_reason) == ["e", "d"]


def test_while_a_run_is_going_on_the_rows_skipped_so_far_are_counted(healthy):
    train = [{"step": 32, "skipped_examples": 1}, {"step": 64, "skipped_examples": math.nan}]
    run = dataclasses.replace(healthy, train=train)
    assert "1 row was skipped." in read_text(run)
    assert "<table" not in make_data_section(run)

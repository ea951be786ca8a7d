from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.record import RunRecord, read_lines, read_object


def test_strings_for_nonfinite_numbers_become_floats(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity", "day": "monday"}\n')
    (line,) = read_lines(path)
    assert math.isnan(line["a"])
    assert (line["step"], line["b"], line["c"], line["day"]) == (1, math.inf, -math.inf, "monday")


def test_a_missing_file_has_no_lines(tmp_path):
    assert read_lines(tmp_path / "train.jsonl") == []


@given(cut=st.integers(min_value=0))
def test_wherever_the_writer_was_killed_all_complete_lines_are_read(tmp_path_factory, cut):
    lines = [{"step": step, "loss/click": 0.5, "day": "Montag, früh"} for step in (32, 64, 96)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    text = text[: cut % (len(text) + 1)]
    path = tmp_path_factory.mktemp("torn") / "train.jsonl"
    path.write_bytes(text)
    # A line is complete once its closing brace is written.
    assert read_lines(path) == lines[: text.count(b"}")]


def test_a_line_that_continues_an_incomplete_one_is_read(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo{"step": 2, "loss": 0.5}\n{"step": 3}\n')
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3]


@pytest.mark.parametrize("bad", ["loss 0.5", "[1, 2]", "3"])
def test_a_malformed_line_in_the_middle_is_an_error_with_its_number(tmp_path, bad):
    path = tmp_path / "train.jsonl"
    path.write_text(f'{{"step": 1}}\n{bad}\n{{"step": 3}}\n')
    with pytest.raises(ValueError, match=r"train\.jsonl, line 2: expected a JSON object") as caught:
        read_lines(path)
    assert "\n" not in str(caught.value)


def test_a_record_needs_only_a_title():
    record = RunRecord("run")
    assert (record.config, record.status, list(record.train), list(record.tasks)) == ({}, {}, [], [])


def test_an_object_is_read_with_its_nonfinite_numbers(tmp_path):
    path = tmp_path / "log.json"
    path.write_text('{"days": [{"statistics": {"age": {"mean": "NaN", "deviation": "-Infinity"}, "name": "day"}}]}')
    (day,) = read_object(path)["days"]
    assert math.isnan(day["statistics"]["age"]["mean"])
    assert (day["statistics"]["age"]["deviation"], day["statistics"]["name"]) == (-math.inf, "day")


@pytest.mark.parametrize("text", ["", "{", '{"days": [', "[1, 2]", "3", "null", "\udcff", "[" * 100_000, "9" * 5000])
def test_a_file_without_an_object_is_read_as_an_empty_one(tmp_path, text):
    path = tmp_path / "log.json"
    assert read_object(path) == {}
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_object(path) == {}

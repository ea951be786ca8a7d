from __future__ import annotations

import json
import math
import os

import pytest

from steadyrank.foundation.atomic_files import write_json, write_text
from steadyrank.foundation.json_values import to_json_value
from steadyrank.pipeline.reporting import read_lines
from steadyrank.pipeline.training.writers import JsonLinesWriter, MemoryWriter, Writers, rewind


def test_numbers_that_json_lacks_survive_a_round_trip(tmp_path):
    path = tmp_path / "metrics" / "train.jsonl"
    writer = JsonLinesWriter(path)
    writer.write(3, {"loss": math.nan, "loss/a": math.inf, "loss/b": -math.inf, "day": "x", "rows": 7})
    writer.close()
    # Strict JSON, which any reader accepts.
    raw = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert raw == {"step": 3, "loss": "NaN", "loss/a": "Infinity", "loss/b": "-Infinity", "day": "x", "rows": 7}
    [line] = read_lines(path)
    assert math.isnan(line["loss"])
    assert (line["loss/a"], line["loss/b"]) == (math.inf, -math.inf)


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path):
    writer = JsonLinesWriter(tmp_path / "train.jsonl")
    writer.write(1, {"loss": 0.5})
    assert (tmp_path / "train.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'
    writer.close()


def test_every_writer_receives_every_publication():
    one, two = MemoryWriter(), MemoryWriter()
    both = Writers([one, two])
    both.write(1, {"loss": 0.5})
    both.close()
    assert one.lines == two.lines == [{"step": 1, "loss": 0.5}]


def test_rewinding_removes_refused_lines_and_a_torn_last_line(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    rewind(path, lambda line: line["step"] <= 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    rewind(tmp_path / "none.jsonl", lambda line: True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    write_json(path, {"step": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "half")
    assert json.loads(path.read_text()) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_plain_types_are_unchanged():
    assert to_json_value({"a": [1, True, None, "x", 0.5], "b": {"c": (2,)}}) == {
        "a": [1, True, None, "x", 0.5],
        "b": {"c": [2]},
    }

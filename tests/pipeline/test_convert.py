"""The command ``convert``; see ``data/files/test_conversion.py`` for the conversion itself."""

from __future__ import annotations

import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.data.files.conversion import convert_log
from steadyrank.pipeline.training.progress import ProgressBar


def make_table(rows: int) -> pa.Table:
    return pa.table({"id": range(rows), "text": [f"word {i % 7}" for i in range(rows)]})


class TestConvertCommand:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "steadyrank.pipeline.convert", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_it_prints_what_it_wrote(self, tmp_path):
        pq.write_table(make_table(20_000), tmp_path / "a.parquet")
        ran = self.run(str(tmp_path / "a.parquet"), str(tmp_path / "b.tfrecord"))
        assert (ran.returncode, ran.stdout) == (
            0,
            f"20,000 rows in 1 file of {tmp_path / 'a.parquet'} -> {tmp_path / 'b.tfrecord'}\n",
        ), ran.stderr
        assert "left" in ran.stderr
        assert "\r" not in ran.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "error: SOURCE is missing"),
            (["nowhere"], "error: TARGET is missing"),
            (["nowhere", "a.tfrecord"], "error: nowhere: no such file or folder"),
            (["a", "b", "c"], "error: unexpected argument 'c'"),
            (["a", "b", "--format=csv"], "error: flag --format=csv"),
        ],
    )
    def test_a_mistake_is_one_line_on_stderr(self, arguments, message):
        ran = self.run(*arguments)
        assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
        assert ran.stderr.startswith(message)


def test_a_terminal_shows_a_bar_that_disappears(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pq.write_table(make_table(20_000), tmp_path / "a.parquet")
    stream = Terminal()
    bar = ProgressBar(stream)
    convert_log(str(tmp_path / "a.parquet"), str(tmp_path / "b.tfrecord"), report_progress=bar.show)
    bar.clear()
    lines = stream.getvalue().split("\r\x1b[2K")
    assert lines[1].startswith("[#########")
    assert lines[-2].startswith(f"[{'#' * 24}] 100%")
    assert lines[-1] == ""

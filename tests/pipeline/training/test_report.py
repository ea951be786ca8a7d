from __future__ import annotations

import pytest

from steadyrank.pipeline.training.report import write_report
from steadyrank.pipeline.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    found = RunDirectory(tmp_path)
    found.config_file.write_text("data: {source: files}\n")
    found.schema_file.write_text("tasks: [{name: click, kind: binary}]\n")
    return found


def test_what_the_log_was_like_comes_into_the_report(run):
    run.log_file.write_text('{"source": "there", "days": [{"name": "monday", "rows": 7, "use": "skipped"}]}')
    write_report(run)
    assert "The log, there, has 1 day and 7 rows." in run.report_file.read_text()


@pytest.mark.parametrize("text", [None, '{"days": [{"na'])
def test_without_a_whole_log_file_there_is_a_report(run, text):
    if text is not None:
        run.log_file.write_text(text)
    write_report(run)
    assert "<h2>Data</h2>" not in run.report_file.read_text()

from __future__ import annotations

import pytest

from steadyrank.pipeline.training.report import write_report
from steadyrank.pipeline.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    directory = RunDirectory(tmp_path)
    directory.config_file.write_text("data: {source: files}\n")
    directory.schema_file.write_text("tasks: [{name: click, kind: binary}]\n")
    return directory


def test_the_report_describes_the_log(run):
    run.log_file.write_text('{"source": "/logs", "days": [{"name": "monday", "rows": 7, "use": "skipped"}]}')
    write_report(run)
    assert "The log /logs has 1 day and 7 rows." in run.report_file.read_text()


@pytest.mark.parametrize("text", [None, '{"days": [{"na'])
def test_a_missing_or_torn_log_file_does_not_prevent_the_report(run, text):
    if text is not None:
        run.log_file.write_text(text)
    write_report(run)
    assert "<h2>Data</h2>" not in run.report_file.read_text()

"""Writes a run's report from the files in its folder."""

from __future__ import annotations

import yaml

from ...foundation.atomic_files import write_text
from ..reporting import RunRecord, read_lines, read_object, render
from .run_directory import RunDirectory


def write_report(run: RunDirectory) -> None:
    """Writes the run's ``report.html``, or replaces it. Also works during the run."""
    schema = yaml.safe_load(run.schema_file.read_text(encoding="utf-8"))
    record = RunRecord(
        title=run.path.resolve().name,
        config=yaml.safe_load(run.config_file.read_text(encoding="utf-8")),
        status=run.read_status(),
        divergence=run.read_divergence() or {},
        train=read_lines(run.train_metrics),
        evaluation=read_lines(run.evaluation_metrics),
        # The schema omits default values.
        tasks=[{"weight": 1.0} | task for task in schema["tasks"]],
        log=read_object(run.log_file),
    )
    write_text(run.report_file, render(record))

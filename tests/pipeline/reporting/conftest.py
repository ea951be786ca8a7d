"""Records of runs that the tests of the report share."""

from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.reporting import RunRecord
from tests.pipeline.reporting.records import (
    FEW_ROWS,
    SHIFTED,
    TASKS,
    make_eval_line,
    make_log_day,
    make_train_line,
)


@pytest.fixture
def healthy() -> RunRecord:
    return RunRecord(
        title="a healthy run",
        config={"data": {"batch_size": 100}, "optimizer": {"rule": "clippy", "exclude_from_clipping": ["embeddings"]}},
        status={
            "status": "done",
            "step": 320,
            "seconds": 75.0,
            "export": "model/export/17",
            "versions": {"python": "3"},
        },
        divergence={"verdict": "healthy", "events": []},
        train=[make_train_line(step) for step in range(32, 321, 32)],
        evaluation=[make_eval_line(160, "monday", "progressive"), make_eval_line(320, "tuesday", "holdout")],
        tasks=TASKS,
    )


@pytest.fixture
def diverged() -> RunRecord:
    return RunRecord(
        title="a diverged run",
        status={"status": "diverged", "step": 320, "export": None, "message": "the loss stayed up"},
        divergence={
            "verdict": "full",
            "events": [
                {"step": 96, "kind": "micro", "task": "click", "evidence": "rose 40-fold"},
                {"step": 192, "kind": "full", "task": None, "evidence": {"loss": 8e12, "usual": 0.6}},
            ],
        },
        train=[
            *(make_train_line(step) for step in range(32, 161, 32)),
            make_train_line(192, loss=8e12, factor=1e-9),
            make_train_line(224, loss=math.inf, factor=math.nan),
            make_train_line(256, loss=math.nan, factor=0.0),
            make_train_line(288, loss=-math.inf),
        ],
        evaluation=[make_eval_line(160, "monday", "progressive", auc=math.nan, rmse=math.inf)],
        tasks=TASKS,
    )


@pytest.fixture
def checked(healthy) -> RunRecord:
    """A run on five checked days: one has a shifted column, one was skipped, the last is held out."""
    days = [
        make_log_day(1),
        make_log_day(2),
        make_log_day(3, age=4120.0, anomalies=[SHIFTED]),
        make_log_day(4, "skipped", 9000, anomalies=[FEW_ROWS]),
        make_log_day(5, "holdout"),
    ]
    return dataclasses.replace(healthy, log={"source": "gs://bucket/log", "days": days})

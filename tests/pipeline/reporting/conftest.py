"""Records of runs that the tests of the report share."""

from __future__ import annotations

import math

import pytest

from steadyrank.pipeline.reporting import RunRecord

TASKS = (
    {"name": "click", "kind": "binary", "weight": 1.0},
    {"name": "watch_time", "kind": "regression", "weight": 0.3},
)


def train_line(step: int, loss: float = 0.6, factor: float = 0.5) -> dict:
    return {
        "step": step,
        "loss": loss,
        "loss/click": loss / 2,
        "loss/watch_time": loss,
        "auc/click": 0.7,
        "rmse/watch_time": 0.9,
        "clipping_factor/shared_bottom/kernel": factor,
        "clipped_steps/shared_bottom/kernel": 3,
        "examples_per_second": 50_000.0,
        "input_wait_fraction": 0.05,
    }


def eval_line(step: int, day: str, kind: str, rows: int = 1000, auc: float = 0.7, rmse: float = 0.9) -> dict:
    return {
        "step": step,
        "day": day,
        "kind": kind,
        "rows": rows,
        "loss": 0.6,
        "auc/click": auc,
        "rmse/watch_time": rmse,
        "rmse_of_mean/watch_time": 1.2,
        "ceiling/auc/click": 0.75,
        "ceiling/rmse/watch_time": 0.8,
    }


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
        train=[train_line(step) for step in range(32, 321, 32)],
        evaluation=[eval_line(160, "monday", "progressive"), eval_line(320, "tuesday", "holdout")],
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
            *(train_line(step) for step in range(32, 161, 32)),
            train_line(192, loss=8e12, factor=1e-9),
            train_line(224, loss=math.inf, factor=math.nan),
            train_line(256, loss=math.nan, factor=0.0),
            train_line(288, loss=-math.inf),
        ],
        evaluation=[eval_line(160, "monday", "progressive", auc=math.nan, rmse=math.inf)],
        tasks=TASKS,
    )

"""Records of runs and lines of their files, for the tests of the report."""

from __future__ import annotations

import dataclasses
from typing import Any

from steadyrank.pipeline.reporting import RunRecord

TASKS = (
    {"name": "click", "kind": "binary", "weight": 1.0},
    {"name": "watch_time", "kind": "regression", "weight": 0.3},
)

HOSTILE_TEXT = "<script>alert('&\"')</script>"
"""A name that would run a script if the page did not escape it."""


def make_train_line(step: int, loss: float = 0.6, factor: float = 0.5) -> dict[str, Any]:
    """A line of ``metrics/train.jsonl``."""
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


def make_eval_line(
    step: int, day: str, kind: str, rows: int = 1000, auc: float = 0.7, rmse: float = 0.9
) -> dict[str, Any]:
    """A line of ``metrics/eval.jsonl``."""
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


def make_event(step: float, kind: str, task: str | None = "", evidence: Any = "", **more: Any) -> dict[str, Any]:
    """An event of ``divergence.json``; ``more`` may hold ``layer``, ``feature`` and ``values``."""
    return {"step": step, "kind": kind, "task": task, "evidence": evidence, "layer": "", "feature": ""} | more


SHIFTED = {
    "check": "shifted",
    "column": "age",
    "text": "the mean of age is 4,120; the 2 days before had 31.2",
    "score": 12.34,
}
FEW_ROWS = {"check": "rows", "column": "", "text": "the day has 9,000 rows; the 3 days before had 65,536"}


def make_log_day(
    number: int, use: str = "training", rows: int = 65_536, age: float = 31.2, anomalies=()
) -> dict[str, Any]:
    """A day of ``log.json`` with four columns; only ``age`` may move."""
    return {
        "name": f"day=2026-11-{number:02d}",
        "rows": rows,
        "files": 4,
        "use": use,
        "statistics": {
            "age": {"missing": 0.01, "mean": age, "deviation": 4.0},
            "country": {"missing": 0.0, "distinct": 12},
            "still": {"missing": 0.0, "mean": 1.0, "deviation": 1.0},
            "click": {"missing": 0, "mean": 0.12, "deviation": 0.32},
        },
        "anomalies": [dict(anomaly) for anomaly in anomalies],
    }


def with_status(run: RunRecord, **status: Any) -> RunRecord:
    """The run with some keys of its status replaced."""
    return dataclasses.replace(run, status={**run.status, **status})

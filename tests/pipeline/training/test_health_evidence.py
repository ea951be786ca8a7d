"""The evidence about a checkpoint's health, after a run that ended, was stopped or was killed at any moment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steadyrank.pipeline.training.health_evidence import HealthEvidence, read_health_evidence
from steadyrank.pipeline.training.run_directory import RunDirectory

STEP = 48
RUNNING = {"status": "running", "step": 0, "total_steps": 64}
DONE = {"status": "done", "step": STEP}
HEALTHY = {"verdict": "healthy", "health": "healthy"}


def write(path, **files: Any) -> RunDirectory:
    """Writes the files of a run: ``status``, ``divergence``, and ``stamp`` for the checkpoint. Text is written as is."""
    run = RunDirectory(path)
    run.checkpoints.mkdir()
    if "stamp" in files:
        files["health"] = {"ckpt-32": {"step": 32} | HEALTHY, f"ckpt-{STEP}": {"step": STEP} | files.pop("stamp")}
    paths = {
        "status": run.status_file,
        "divergence": run.divergence_file,
        "health": run.checkpoints / "health.json",
    }
    for name, content in files.items():
        paths[name].write_text(content if isinstance(content, str) else json.dumps(content))
    return run


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"status": RUNNING, "stamp": HEALTHY}, "healthy"),
        ({"status": RUNNING, "stamp": {"verdict": "micro", "health": "healthy"}}, "micro"),
        (
            {"status": RUNNING | {"status": "preempted"}, "stamp": HEALTHY, "divergence": {"verdict": "micro"}},
            "healthy",
        ),
        ({"status": RUNNING | {"status": "failed"}, "stamp": HEALTHY}, "healthy"),
        ({"status": DONE, "stamp": HEALTHY, "divergence": {"verdict": "healthy"}}, "healthy"),
        # Training exports such a run, too.
        (
            {
                "status": DONE,
                "stamp": {"verdict": "micro", "health": "out_of_range"},
                "divergence": {"verdict": "micro"},
            },
            "micro",
        ),
    ],
)
def test_the_health_is_known(tmp_path, files, verdict):
    assert read_health_evidence(write(tmp_path, **files), STEP) == HealthEvidence(verdict, [])


FULL = {"verdict": "full"}


@pytest.mark.parametrize(
    "files",
    [
        # Killed after the checkpoint of a full divergence, before any other file said so.
        {"status": RUNNING, "stamp": {"verdict": "full", "health": "full"}},
        # A verdict that is not the state of a task, such as gradients that stayed non-finite.
        {"status": RUNNING, "stamp": {"verdict": "full", "health": "healthy"}},
        # Preempted while healthy, resumed, diverged and killed: divergence.json is older than the checkpoint.
        {"status": RUNNING, "stamp": FULL | {"health": "full"}, "divergence": {"verdict": "healthy"}},
        # Only the held-out days showed the divergence.
        {"status": RUNNING | {"step": STEP, "total_steps": STEP}, "stamp": HEALTHY, "divergence": FULL},
        {"status": DONE, "stamp": HEALTHY, "divergence": FULL},
        {"status": DONE, "stamp": FULL | {"health": "full"}, "divergence": {"verdict": "healthy"}},
        {"status": {"status": "diverged", "step": STEP}, "stamp": HEALTHY},
        {"status": "{", "stamp": FULL | {"health": "full"}},
    ],
)
def test_one_file_that_reports_a_full_divergence_decides(tmp_path, files):
    assert read_health_evidence(write(tmp_path, **files), STEP).verdict == "full"


@pytest.mark.parametrize(
    ("files", "doubts"),
    [
        # Killed between the checkpoint and its stamp.
        (
            {"status": RUNNING, "health": {"ckpt-32": {"step": 32} | HEALTHY}},
            ["health.json has no health for the checkpoint of step 48"],
        ),
        (
            {"status": RUNNING},
            ["health.json is missing", "health.json has no health for the checkpoint of step 48"],
        ),
        (
            {"status": RUNNING, "stamp": {"verdict": "micro", "health": "out_of_range"}},
            ["a task is out of range at step 48, and the run ended before a verdict"],
        ),
        # Killed after the last step: before, during or after the evaluation of the held-out days.
        (
            {"status": RUNNING | {"total_steps": STEP}, "stamp": HEALTHY, "divergence": {"verdict": "healthy"}},
            ["the run ended before the model was judged on the held-out days"],
        ),
        (
            {"stamp": HEALTHY},
            ["status.json is missing", "the run ended before the model was judged on the held-out days"],
        ),
        ({"status": DONE, "stamp": HEALTHY}, ["divergence.json has no verdict"]),
        (
            {"status": DONE, "stamp": HEALTHY, "divergence": "[]"},
            ["divergence.json cannot be read", "divergence.json has no verdict"],
        ),
        # The newest checkpoint is damaged; the judgment was on that one.
        (
            {"status": DONE | {"step": 64}, "stamp": HEALTHY, "divergence": {"verdict": "healthy"}},
            ["the run ended before the model was judged on the held-out days"],
        ),
        (
            {"status": RUNNING, "health": '{"ckpt-48": '},
            ["health.json cannot be read", "health.json has no health for the checkpoint of step 48"],
        ),
    ],
)
def test_the_health_is_not_known(tmp_path, files, doubts):
    assert read_health_evidence(write(tmp_path, **files), STEP).doubts == doubts

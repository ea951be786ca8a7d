"""What the files of a run say about the health of one of its checkpoints.

A process can be killed at any moment, so each file can be missing or older than the checkpoint:

| file | what it says | when the run writes it |
|---|---|---|
| ``checkpoints/health.json`` | verdict and health at each checkpoint | after each checkpoint |
| ``status.json`` | whether the run has ended, and how | at the start and at the end |
| ``divergence.json`` | the verdict, including the judgment on the held-out days | at the end, and when preempted |

If any file reports a full divergence, the checkpoint has diverged. Otherwise the checkpoint is healthy only if the files
that describe it exist: of a finished run ``divergence.json``, and of any other run the checkpoint's stamp.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...foundation.run_terms import Verdict
from .run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class HealthEvidence:
    """The health of a checkpoint.

    Attributes:
      verdict: The verdict on the training up to the checkpoint, as far as it is known.
      doubts: Why the health is not known, as clauses; empty if it is known.
    """

    verdict: Verdict
    doubts: Sequence[str] = ()


def read_health_evidence(run: RunDirectory, step: int) -> HealthEvidence:
    """Reads what the files of a run say about the checkpoint of a step."""
    doubts: list[str] = []
    status = _read_object(run.status_file, doubts)
    divergence = _read_object(run.divergence_file, doubts, optional=True)
    stamp = _read_object(run.checkpoints / "health.json", doubts).get(f"ckpt-{step}", {})
    if status.get("status") == "diverged" or "full" in (
        divergence.get("verdict"),
        stamp.get("verdict"),
        stamp.get("health"),
    ):
        return HealthEvidence("full")
    if (status.get("status"), status.get("step")) == ("done", step):
        if "verdict" not in divergence:
            doubts.append(f"{run.divergence_file.name} has no verdict")
        return HealthEvidence(divergence.get("verdict", "healthy"), doubts)
    return HealthEvidence(stamp.get("verdict", "healthy"), doubts + _find_doubts(status, stamp, step))


def _find_doubts(status: Mapping[str, Any], stamp: Mapping[str, Any], step: int) -> list[str]:
    """Returns why the health at a checkpoint of an unfinished run is not known."""
    doubts = []
    if not {"verdict", "health"} <= stamp.keys():
        doubts.append(f"health.json has no health for the checkpoint of step {step:,}")
    elif stamp["health"] != "healthy":
        doubts.append(f"a task is out of range at step {step:,}, and the run ended before a verdict")
    if step >= status.get("total_steps", 0):
        doubts.append("the run ended before the model was judged on the held-out days")
    return doubts


def _read_object(path: Path, doubts: list[str], optional: bool = False) -> dict[str, Any]:
    """Reads a JSON object. If that fails, returns an empty one and adds a doubt."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not optional:
            doubts.append(f"{path.name} is missing")
        return {}
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        doubts.append(f"{path.name} cannot be read")
        return {}
    return content

"""Checks of foreign programs: the monitor changes nothing, sees what breaks, and our optimizers train."""

from __future__ import annotations

import functools
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steadyrank.pipeline.divergence import Diverged

from .kit import PROGRAMS, Damage, Run

MONITORS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "stop_without_probes": {"probes": False, "on_full": "stop"},
    "rollback_with_bundles": {"on_full": "rollback", "bundles": ""},
}
"""Arguments of the monitor, by name of the check."""


def train(name: str, version: int, **options: Any) -> Run:
    """Runs a program."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(version, Path(folder), **options)
        PROGRAMS[name].run(run)
        return run


@functools.lru_cache(maxsize=2)
def train_alone(name: str, version: int) -> Run:
    """Runs a program without the monitor."""
    return train(name, version)


def find_changes(run: Run, reference: Run) -> list[str]:
    """Lists the differences of two runs that should be equal to the bit."""
    changes = []
    if len(run.results) != len(reference.results):
        changes.append(f"{len(run.results)} results instead of {len(reference.results)}")
    for i, (result, expected) in enumerate(zip(run.results, reference.results, strict=False)):
        for key in sorted({*result, *expected}):
            if key not in result or key not in expected:
                changes.append(f"result {i} has keys {sorted(result)} instead of {sorted(expected)}")
            elif not np.array_equal(result[key], expected[key], equal_nan=True):
                changes.append(f"result {i}: {key} is {result[key]} instead of {expected[key]}")
    weights, expected_weights = run.list_weights(), reference.list_weights()
    if len(weights) != len(expected_weights):
        changes.append(f"{len(weights)} weights instead of {len(expected_weights)}")
    for i, (weight, expected) in enumerate(zip(weights, expected_weights, strict=False)):
        equal = np.array_equal(weight, expected, equal_nan=weight.dtype.kind == "f")
        if not equal:
            changes.append(f"weight {i} of shape {weight.shape} differs")
    return changes


def find_alarms(run: Run) -> list[str]:
    """Lists the alarms of a training that converges."""
    return [
        str(event)
        for monitor in run.monitors
        for event in monitor.events
        if event.kind
        in (
            "out_of_range",
            "micro_divergence",
            "full_divergence",
            "nonfinite",
            "chance",
            "rollback",
            "no_rollback",
            "nonfinite_values",
        )
    ]


def is_finite(run: Run) -> bool:
    """Returns whether the weights and the last losses of a run are finite."""
    losses = [values[-1] for values in run.results[-1].values() if isinstance(values, list) and values]
    return all(np.isfinite(weight).all() for weight in run.list_weights() if weight.dtype.kind == "f") and bool(
        np.isfinite(np.array(losses, float)).all()
    )


def check_unchanged(name: str, version: int, monitor: str) -> list[str]:
    """Checks that the monitor changes no number and raises no alarm."""
    reference = train_alone(name, version)
    run = train(name, version, monitor=MONITORS[monitor])
    changes = find_changes(run, reference)
    if changes and find_changes(train(name, version), reference):
        changes = ["NOT REPRODUCIBLE"]
    if not run.monitors:
        changes.append("no monitor was used")
    return changes + find_alarms(run)


def check_optimizer(name: str, version: int, optimizer: str) -> list[str]:
    """Checks that a program trains with our optimizer."""
    program = PROGRAMS[name]
    run = train(name, version, optimizer=optimizer)
    faults = [] if is_finite(run) else ["not finite"]
    for result in run.results if program.falls else []:
        losses = result.get("loss", [])
        if isinstance(losses, list) and len(losses) > 1 and not losses[-1] < losses[0]:
            faults.append(f"the loss rises: {losses}")
    return faults


def check_damage(name: str, version: int, damage: Damage, on_full: str | None) -> list[str]:
    """Checks that the monitor sees a training that breaks, and acts."""
    raised = False
    with tempfile.TemporaryDirectory() as folder:
        run = Run(version, Path(folder), monitor={"on_full": on_full, "every": 4}, damage=damage)
        try:
            PROGRAMS[name].run(run)
        except Diverged:
            raised = True
    verdicts = [monitor.verdict for monitor in run.monitors]
    if raised:
        return [] if on_full == "raise" else ["Diverged was raised"]
    if is_finite(run):
        return []
    if on_full == "raise" or "full" not in verdicts:
        return [f"weights or loss are not finite, verdicts {verdicts}"]
    if on_full == "rollback":
        events = [event.kind for monitor in run.monitors for event in monitor.events]
        return [] if "no_rollback" in events else [f"rolled back to what is not finite: {events}"]
    return []


def run_check(check: Any, *arguments: Any) -> list[str]:
    """Runs a check; an exception is a fault."""
    try:
        return check(*arguments)
    except Exception:
        return [traceback.format_exc()]

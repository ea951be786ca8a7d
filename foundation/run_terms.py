"""The terms that a run writes to its files. Each set of terms is complete."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["healthy", "micro", "full"]
"""Verdict on a whole run: no divergence, only divergences from which it recovered, or a lasting divergence."""

Health = Literal["healthy", "out_of_range", "full"]
"""State of the training at one step. Each checkpoint stores it."""

RunStatus = Literal["running", "done", "diverged", "refused", "preempted", "interrupted", "failed"]
"""``status`` in ``status.json``."""

DayUse = Literal["training", "holdout", "skipped"]
"""``use`` of a day in ``log.json``."""

EventKind = Literal[
    "spike",
    "out_of_range",
    "micro_divergence",
    "full_divergence",
    "recovery",
    "feature_shift",
    "nonfinite_values",
    "dead_layer",
    "over_clipping",
    "rollback",
    "no_rollback",
    "chance",
    "nonfinite",
]
"""``kind`` of an event in ``divergence.json``."""

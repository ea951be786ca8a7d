"""The closed sets of words that a run writes to its files."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["healthy", "micro", "full"]
"""What a whole run was like: no divergence, only divergences that came back, or one that stayed."""

Health = Literal["healthy", "out_of_range", "full"]
"""How training is doing at one step; each checkpoint is stamped with it."""

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

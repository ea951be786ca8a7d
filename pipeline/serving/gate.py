"""Decides whether a ranker may be exported."""

from __future__ import annotations

import tensorflow as tf

from ...foundation.run_terms import Verdict
from ...models.ranker import MultitaskRanker


def find_export_blockers(ranker: MultitaskRanker, verdict: Verdict) -> list[str]:
    """Returns a message for each reason not to export a ranker; empty if it may be exported.

    Args:
      ranker: The trained ranker.
      verdict: The verdict on its training.
    """
    blockers = []
    if verdict == "full":
        blockers.append("the training fully diverged")
    # Metrics are no part of an export. Their sums may hold a NaN of the past.
    metrics = {id(variable) for metric in ranker.metrics for variable in metric.variables}
    weights = [variable for variable in ranker.variables if id(variable) not in metrics]
    broken = [variable.name for variable in weights if not _is_finite(variable)]
    if broken:
        others = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        verb = "hold" if len(broken) > 1 else "holds"
        blockers.append(f"the variable {broken[0]}{others} {verb} values that are not finite")
    return blockers


def _is_finite(variable: tf.Variable) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(variable)))

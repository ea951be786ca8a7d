"""Decides whether a ranker may be published, and says why not."""

from __future__ import annotations

import tensorflow as tf

from ...models.ranker import MultitaskRanker


def find_export_blockers(ranker: MultitaskRanker, verdict: str) -> list[str]:
    """Every reason that stands against publishing, in words; empty when there is none.

    Args:
      ranker: The trained ranker.
      verdict: The verdict on its training: ``healthy``, ``micro`` or ``full``.
    """
    reasons = []
    if verdict == "full":
        reasons.append("the training fully diverged")
    broken = [v.name for v in ranker.trainable_variables if not _finite(v)]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        reasons.append(f"the variable {broken[0]}{more} holds values that are not finite")
    return reasons


def _finite(variable: tf.Variable) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(variable)))

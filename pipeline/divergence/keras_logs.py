"""Converts Keras's logs to the project's metric keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...foundation.metric_key import MetricKey


def rename_keras_logs(logs: Mapping[str, Any]) -> dict[str, float]:
    """Renames the logs of a Keras callback, and drops values that are not numbers.

    Example:
    >>> rename_keras_logs({"loss": 0.7, "click_loss": 0.5, "click_auc_1": 0.8})
    {'loss': 0.7, 'loss/click': 0.5, 'auc/click': 0.8}
    """
    metrics: dict[str, float] = {}
    for name, value in logs.items():
        task, _, kind = name.rpartition("_")
        # Keras appends a number to repeated metrics, such as auc_1.
        unnumbered = name.rstrip("_0123456789")
        if unnumbered.endswith("_auc"):
            task, kind = unnumbered.removesuffix("_auc"), "auc"
        key = str(MetricKey(kind, task)) if task and kind in ("loss", "auc") else name
        try:
            metrics[key] = float(value)
        except (TypeError, ValueError):
            continue
    return metrics

"""Judges publications: metrics over many steps, such as AUC. All functions are pure.

The keys are ``loss``, ``loss/<task>``, ``auc/<task>``, ``rmse/<task>``, ``rmse_of_mean/<task>``, ``label_mean/<task>``
and ``examples/<task>``. Missing keys are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ....foundation.constant_baseline import constant_cross_entropy
from ..event import Evidence, format_number
from .thresholds import Thresholds

# Assumed noise of an AUC over an unknown number of rows.
_UNKNOWN_AUC_NOISE = 0.02


def list_tasks(metrics: Mapping[str, float]) -> list[str]:
    """Lists the tasks of a publication. Without losses by task, the list is one empty name for the whole model.

    Example:
    >>> list_tasks({"loss": 1.0, "loss/click": 0.5}), list_tasks({"loss": 1.0})
    (['click'], [''])
    """
    tasks = [key.removeprefix("loss/") for key in metrics if key.startswith("loss/")]
    return tasks or ([""] if "loss" in metrics else [])


def find_bad_loss(task: str, metrics: Mapping[str, float], thresholds: Thresholds) -> Evidence | None:
    """Returns evidence that a task's loss is not finite, or far above the loss of a constant prediction."""
    loss = metrics[f"loss/{task}" if task else "loss"]
    if not math.isfinite(loss):
        return Evidence.of("loss not finite")
    constant = _compute_constant_loss(task, metrics)
    if not constant or not loss > thresholds.loss_ratio * constant:
        return None
    text = f"loss {format_number(loss)} (a constant prediction: {format_number(constant)})"
    return Evidence.of(text, loss=loss, normalized_loss=loss / constant)


def find_collapsed_auc(
    task: str, metrics: Mapping[str, float], best_auc: float, thresholds: Thresholds
) -> Evidence | None:
    """Returns evidence that a task's AUC was clearly above chance and has fallen back to chance."""
    auc, noise = metrics.get(f"auc/{task}"), _compute_auc_noise(task, metrics)
    if auc is None or best_auc - 0.5 <= 6 * noise:
        return None
    # Not written with >=, so that an AUC of NaN is no evidence.
    if not auc - 0.5 < max(thresholds.collapse_share * (best_auc - 0.5), 2 * noise):
        return None
    return Evidence.of(f"AUC {auc:.3f} (was {best_auc:.3f})", auc=auc, usual=best_auc)


def compute_safe_auc(task: str, metrics: Mapping[str, float]) -> float:
    """Computes a task's AUC minus two standard deviations of its noise; 0.5 without an AUC."""
    auc = metrics.get(f"auc/{task}")
    return auc - 2 * _compute_auc_noise(task, metrics) if auc is not None else 0.5


def is_at_chance(task: str, metrics: Mapping[str, float]) -> bool:
    """Returns whether the predictions of a task are no better than a constant prediction."""
    auc = metrics.get(f"auc/{task}")
    if auc is not None:
        return auc < 0.5 + 2 * _compute_auc_noise(task, metrics)
    rmse, deviation = metrics.get(f"rmse/{task}"), metrics.get(f"rmse_of_mean/{task}")
    return rmse is not None and deviation is not None and rmse >= deviation


def _compute_constant_loss(task: str, metrics: Mapping[str, float]) -> float | None:
    """Computes the loss of the best constant prediction; None if unknown."""
    deviation = metrics.get(f"rmse_of_mean/{task}")
    if deviation is not None:
        return deviation**2
    share = metrics.get(f"label_mean/{task}")
    if share is None or not 0 < share < 1:
        return None
    return float(constant_cross_entropy(share, share))


def _compute_auc_noise(task: str, metrics: Mapping[str, float]) -> float:
    """Computes the standard deviation of the AUC of random scores over the publication's rows."""
    rows, share = metrics.get(f"examples/{task}"), metrics.get(f"label_mean/{task}")
    if not rows or share is None or not 0 < share < 1:
        return _UNKNOWN_AUC_NOISE
    positives, negatives = rows * share, rows * (1 - share)
    return math.sqrt((rows + 1) / (12 * positives * negatives))

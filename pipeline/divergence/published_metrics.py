"""The metrics that the monitor adds to a publication.

| key | meaning |
|---|---|
| ``loss_max/<task>``, ``loss_min/<task>``, ``normalized_loss_max/<task>`` … | extremes over single steps |
| ``loss_max_step/<task>`` … | the step of the maximum |
| ``calibration_max/<task>``, ``calibration_min/<task>``, ``auc_min/<task>`` | extremes over single batches |
| ``dead_units/<layer>`` | largest share of dead units in a batch |
| ``norm/gradient/<layer>``, ``norm/parameter/<layer>`` | largest norm over the steps; if the optimizer explains its steps, the norm that it reports |
| ``norm/update/<layer>``, ``clipping_factor/<layer>``, ``clipping_factor_last/<layer>``, ``clipped_steps/<layer>`` | from an optimizer that explains its steps |
| ``nonfinite/loss/<task>``, ``nonfinite/activation/<layer>`` | number of steps with a value that is not finite; absent if 0 |
| ``nonfinite_steps`` | steps that the optimizer skipped because a gradient was not finite |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...foundation.metric_key import MetricKey
from .keras_compat import get_layer_name, unwrap_optimizer
from .signal_statistics import SignalStatistics, WindowStatistics


def format_signal_metrics(window: WindowStatistics, before: int) -> dict[str, float]:
    """Turns the signals of a window into metrics.

    Args:
      window: The window.
      before: Training steps before the window.
    """
    metrics: dict[str, float] = {}
    for name, signal in window.signals.items():
        kind, subject = MetricKey.parse(name)
        if signal.nonfinite_count and kind in ("loss", "activation"):
            metrics[str(MetricKey(f"nonfinite/{kind}", subject))] = signal.nonfinite_count
        if signal.finite_count:
            values = _select_statistics(kind, signal, before)
            metrics |= {str(MetricKey(key, subject)): value for key, value in values.items()}
    return metrics


def _select_statistics(kind: str, signal: SignalStatistics, before: int) -> dict[str, float]:
    """Selects the statistics of a signal to publish, by the kind of metric."""
    if kind in ("loss", "normalized_loss"):
        return {
            f"{kind}_max": signal.maximum,
            f"{kind}_max_step": before + signal.maximum_step,
            f"{kind}_min": signal.minimum,
        }
    if kind == "calibration":
        return {"calibration_max": signal.maximum, "calibration_min": signal.minimum}
    if kind == "auc":
        return {"auc_min": signal.minimum}
    if kind == "dead_units":
        return {kind: signal.maximum}
    return {f"norm/{kind}": signal.maximum} if kind in ("gradient", "parameter") else {}


class OptimizerMetrics:
    """Reads the metrics of an optimizer from :mod:`steadyrank.optimizers`. Other optimizers have none."""

    def __init__(self) -> None:
        self._skipped_steps: int | None = None

    def begin(self, optimizer: Any) -> None:
        """Remembers the number of steps skipped before the first fit."""
        if self._skipped_steps is None:
            self._skipped_steps = getattr(unwrap_optimizer(optimizer), "skipped_steps", 0)

    def read(self, optimizer: Any, model_name: str) -> dict[str, float]:
        """Returns the metrics since the last call."""
        optimizer = unwrap_optimizer(optimizer)
        skipped_steps = getattr(optimizer, "skipped_steps", None)
        if skipped_steps is None:
            return {}
        metrics: dict[str, float] = {"nonfinite_steps": skipped_steps - (self._skipped_steps or 0)}
        self._skipped_steps = skipped_steps
        return (
            metrics | _merge_explanations(optimizer.read_explanations(), model_name) if optimizer.explain else metrics
        )


def _merge_explanations(explanations: Mapping[str, Any], model_name: str) -> dict[str, float]:
    """Merges the explanations of a layer's variables."""
    metrics: dict[str, float] = {}
    squares: dict[str, float] = {}
    for name, explanation in explanations.items():
        layer = get_layer_name(name, model_name)
        if explanation.rule != "none":
            for kind, value, merge in (
                ("clipping_factor", explanation.smallest_factor, min),
                ("clipping_factor_last", explanation.factor, min),
                ("clipped_steps", explanation.clipped_steps, max),
            ):
                key = f"{kind}/{layer}"
                metrics[key] = merge(metrics.get(key, 1.0 if merge is min else 0), value)
        for kind in ("gradient", "update", "parameter"):
            key = f"norm/{kind}/{layer}"
            squares[key] = squares.get(key, 0.0) + getattr(explanation, f"{kind}_norm") ** 2
    return metrics | {key: math.sqrt(total) for key, total in squares.items()}

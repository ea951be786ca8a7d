"""Reads the losses from the results of a training step that computes its loss itself.

A user's own ``train_step`` may call a loss function or ``compiled_loss`` directly, as GANs and variational autoencoders
do. Then its results are the only place that shows the loss. They may be means over the epoch so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ....foundation.metric_key import MetricKey
from ..signal_recorder import Signal
from .layer_measures import measure_mean


def measure_logs(results: Any, signals: Sequence[Signal]) -> list[Signal]:
    """Returns the losses in the results of a step, unless the loss of the step itself is among its signals.

    Args:
      results: What ``train_step`` returned.
      signals: The signals of the step.

    Returns:
      ``logged_loss`` for the entry ``loss``, and ``logged_loss/<task>`` for ``<task>_loss``. Without any entry that is
      named a loss, ``logged_value/<entry>`` for each entry.

    Example:
    >>> [signal.name for signal in measure_logs({"d_loss": tf.constant(0.7), "accuracy": tf.constant(0.5)}, [])]
    ['logged_loss/d']
    """
    if not isinstance(results, Mapping) or any(MetricKey.parse(signal.name).kind == "loss" for signal in signals):
        return []
    entries = {str(name): value for name, value in results.items() if _is_scalar(value)}
    losses = {name: value for name, value in entries.items() if "loss" in name.lower()}
    if not losses:
        return [Signal(str(MetricKey("logged_value", name)), measure_mean(value)) for name, value in entries.items()]
    return [
        Signal(str(MetricKey("logged_loss", _get_task(name))), measure_mean(value)) for name, value in losses.items()
    ]


def _get_task(name: str) -> str:
    return "" if name == "loss" else name.removesuffix("_loss")


def _is_scalar(value: Any) -> bool:
    return tf.is_tensor(value) and value.shape.rank == 0 and value.dtype.is_floating

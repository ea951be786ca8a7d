"""Measures the loss, normalized loss, calibration and AUC of each task on one batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from ....foundation.auc import auc_from_rank_sum
from ....foundation.constant_baseline import constant_cross_entropy, smoothed_share
from ....foundation.metric_key import MetricKey
from ..signal_recorder import Signal

# With fewer labeled rows, the loss of a constant prediction is too noisy for a comparison.
_MIN_ROWS = 32


def measure_outputs(model: Any, labels: Any, predictions: Any) -> dict[str, tf.Tensor]:
    """Measures each output whose loss is a binary cross-entropy or a squared error.

    Args:
      model: A Keras model that was compiled with a loss.
      labels: One tensor, or several by name or in the order of the outputs.
      predictions: The predictions, in the same form.

    Returns:
      Scalars by signal; see :mod:`~..probes`. Outputs with another loss have none.
    """
    outputs = _name_tensors(model, predictions)
    targets = _name_tensors(model, labels)
    if not outputs or targets.keys() != outputs.keys():
        return {}
    measures: dict[str, tf.Tensor] = {}
    for task, prediction in outputs.items():
        loss = _classify_loss(_find_loss(model, task))
        if loss is None:
            continue
        y, p = (tf.cast(tf.reshape(tensor, [-1]), tf.float32) for tensor in (targets[task], prediction))
        task_measures = _measure_binary(y, p, loss.is_logits) if loss.kind == "binary" else _measure_squared(y, p)
        measures |= {str(MetricKey(kind, task)): value for kind, value in task_measures.items()}
    return measures


def make_signals(measures: Mapping[str, tf.Tensor], loss_ratio: float) -> list[Signal]:
    """Turns measures into signals.

    Args:
      measures: Scalars by signal. ``examples/<task>`` is not a signal, but the number of labeled rows in the batch.
      loss_ratio: Limit of the normalized losses.
    """
    signals = []
    for name, value in measures.items():
        kind, task = MetricKey.parse(name)
        if kind == "examples":
            continue
        is_normalized = kind == "normalized_loss"
        rows = measures.get(str(MetricKey("examples", task)))
        is_present = None if rows is None else rows >= (_MIN_ROWS if is_normalized else 1)
        limit = {"limit": loss_ratio} if is_normalized else {}
        signals.append(Signal(name, value, is_present=is_present, rows=rows, **limit))
        loss = measures.get(str(MetricKey("loss", task)))
        if is_normalized and loss is not None:
            # The ratio of their means over several steps is less noisy than the mean of the ratios.
            parts = {"prediction_loss": loss, "constant_loss": tf.math.divide_no_nan(loss, tf.cast(value, loss.dtype))}
            for part, number in parts.items():
                signals.append(Signal(str(MetricKey(part, task)), number, is_present=is_present, rows=rows))
    return signals


def compute_batch_auc(labels: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Computes the exact AUC of a batch: the share of correctly ranked pairs of a positive and a negative row.

    Args:
      labels: 0 or 1, ``[B]``.
      scores: ``[B]``. Ties count half. Scores that are not finite count as 0.

    Returns:
      A scalar; 0.5 if a class is missing.

    Example:
    >>> float(compute_batch_auc(tf.constant([0.0, 1.0, 1.0]), tf.constant([0.1, 0.1, 0.9])))
    0.75
    """
    scores = tf.where(tf.math.is_finite(scores), scores, 0.0)[tf.newaxis]
    ordered = tf.sort(scores, axis=1)
    # Twice the mean rank of equal scores, minus 1.
    ranks = tf.searchsorted(ordered, scores, "left") + tf.searchsorted(ordered, scores, "right")
    ranks = (tf.cast(ranks[0], tf.float64) + 1.0) / 2.0
    labels = tf.cast(labels, tf.float64)
    positives = tf.reduce_sum(labels)
    negatives = tf.cast(tf.size(labels), tf.float64) - positives
    auc = auc_from_rank_sum(tf.reduce_sum(labels * ranks), positives, negatives)
    return tf.where(positives * negatives > 0, auc, 0.5)


def _measure_binary(y: tf.Tensor, p: tf.Tensor, is_logits: bool) -> dict[str, tf.Tensor]:
    """Measures a binary task; ``y`` and ``p`` are ``[B]``."""
    logits = p if is_logits else tf.math.log(tf.maximum(p, 1e-7)) - tf.math.log(tf.maximum(1.0 - p, 1e-7))
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits))
    p = tf.sigmoid(p) if is_logits else p
    rows = tf.cast(tf.size(y), tf.float32)
    smoothed = smoothed_share(tf.reduce_sum(y), rows)
    constant_loss = constant_cross_entropy(tf.reduce_mean(y), smoothed, tf.math.log)
    return {"auc": compute_batch_auc(y, logits)} | _measure_task(loss, constant_loss, y, p)


def _measure_squared(y: tf.Tensor, p: tf.Tensor) -> dict[str, tf.Tensor]:
    """Measures a regression; ``y`` and ``p`` are ``[B]``."""
    return _measure_task(tf.reduce_mean(tf.square(y - p)), tf.math.reduce_variance(y), y, p)


def _measure_task(loss: tf.Tensor, constant_loss: tf.Tensor, y: tf.Tensor, p: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        "loss": loss,
        "normalized_loss": tf.where(constant_loss > 0, loss / constant_loss, 0.0),
        "calibration": tf.reduce_mean(p) / tf.reduce_mean(y),
        "examples": tf.cast(tf.size(y), tf.float32),
    }


def _name_tensors(model: Any, tensors: Any) -> dict[str, tf.Tensor]:
    """Returns tensors by output name, with an empty name for a single tensor. Empty for deeper nesting."""
    if isinstance(tensors, Mapping):
        named = dict(tensors)
    elif isinstance(tensors, list | tuple):
        named = dict(zip(_list_output_names(model, len(tensors)), tensors, strict=False))
    else:
        named = {"": tensors}
    return named if all(tf.is_tensor(tensor) for tensor in named.values()) else {}


def _list_output_names(model: Any, count: int) -> list[str]:
    return getattr(model, "output_names", None) or [f"output_{i}" for i in range(count)]


def _find_loss(model: Any, task: str) -> Any:
    """Returns the loss with which the model was compiled for a task."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, Mapping):
        return loss.get(task)
    if isinstance(loss, list | tuple):
        return dict(zip(_list_output_names(model, len(loss)), loss, strict=False)).get(task)
    return loss


class _KnownLoss(NamedTuple):
    """A kind of loss for which the loss of a constant prediction is known."""

    kind: Literal["binary", "squared"]
    is_logits: bool


def _classify_loss(loss: Any) -> _KnownLoss | None:
    """Classifies a loss by its name or class; None for other kinds of loss."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    plain = str(name).replace("_", "").lower()
    if plain == "binarycrossentropy":
        config = loss.get_config() if hasattr(loss, "get_config") else {}
        return _KnownLoss("binary", bool(config.get("from_logits", getattr(loss, "from_logits", False))))
    return _KnownLoss("squared", False) if plain in ("mse", "meansquarederror") else None

"""Measures the loss, normalized loss, calibration and AUC of each task on one batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ....foundation.constant_baseline import constant_cross_entropy, smoothed_share
from ....foundation.metric_key import MetricKey
from ..signal_recorder import Signal
from .aligned_rows import AlignedRows, align_rows
from .known_losses import KnownLoss, classify_loss

# With fewer labeled rows, the loss of a constant prediction is too noisy for a comparison.
_MIN_ROWS = 32


def measure_outputs(model: Any, labels: Any, predictions: Any, sample_weight: Any = None) -> dict[str, tf.Tensor]:
    """Measures each output whose loss is Keras's own binary cross-entropy or squared error.

    Args:
      model: A Keras model that was compiled with a loss.
      labels: One tensor, or several by name or in the order of the outputs.
      predictions: The predictions, in the same form.
      sample_weight: The weights of the rows or time steps, in the same form. None: all are 1. Masks of Keras's layers
        are weights of 0.

    Returns:
      Scalars by signal; see :mod:`~..probes`. Outputs with another loss have none, and neither have outputs whose
      labels or weights have other shapes than Keras's losses support.
    """
    outputs, targets = _name_parts(model, predictions), _name_parts(model, labels)
    if targets.keys() != outputs.keys():
        return {}
    weights = {} if sample_weight is None else _name_parts(model, sample_weight)
    measures: dict[str, tf.Tensor] = {}
    for task, prediction in outputs.items():
        loss = classify_loss(_find_loss(model, task))
        rows = None if loss is None else align_rows(targets[task], prediction, weights.get(task, weights.get("")))
        if loss is None or rows is None:
            continue
        task_measures = _measure_binary(rows, loss) if loss.kind == "binary" else _measure_squared(rows)
        measures |= {str(MetricKey(kind, task)): value for kind, value in task_measures.items()}
    return measures


def make_signals(measures: Mapping[str, tf.Tensor], loss_ratio: float) -> list[Signal]:
    """Turns measures into signals.

    Args:
      measures: Scalars by signal. ``examples/<task>`` and ``mean_label/<task>`` are no signals, but the number of labeled
        rows in the batch and their mean label.
      loss_ratio: Limit of the normalized losses.
    """
    signals = []
    for name, value in measures.items():
        kind, task = MetricKey.parse(name)
        if kind in ("examples", "mean_label"):
            continue
        is_normalized = kind == "normalized_loss"
        rows = measures.get(str(MetricKey("examples", task)))
        is_present = None if rows is None else rows >= (_MIN_ROWS if is_normalized else 1)
        if kind == "calibration":
            # Without a positive row, there is no calibration.
            mean_label = measures.get(str(MetricKey("mean_label", task)))
            exists = tf.math.is_finite(value) if mean_label is None else tf.math.is_finite(value) & (mean_label != 0)
            is_present = exists if is_present is None else is_present & exists
        limit = {"limit": loss_ratio} if is_normalized else {}
        signals.append(Signal(name, value, is_present=is_present, rows=rows, **limit))
        loss = measures.get(str(MetricKey("loss", task)))
        if is_normalized and loss is not None:
            # The ratio of their means over several steps is less noisy than the mean of the ratios.
            parts = {"prediction_loss": loss, "constant_loss": tf.math.divide_no_nan(loss, tf.cast(value, loss.dtype))}
            for part, number in parts.items():
                signals.append(Signal(str(MetricKey(part, task)), number, is_present=is_present, rows=rows))
    return signals


def compute_batch_auc(labels: tf.Tensor, scores: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Computes the exact AUC of a batch: the share of correctly ranked pairs of a positive and a negative row.

    Args:
      labels: 0 or 1, ``[B]``. A value between them is the share of a positive row.
      scores: ``[B]``. Ties count half. Scores that are not finite count as 0.
      weights: The weights of the rows, ``[B]``. None: all are 1.

    Returns:
      A scalar; 0.5 if a class is missing.

    Example:
    >>> float(compute_batch_auc(tf.constant([0.0, 1.0, 1.0]), tf.constant([0.1, 0.1, 0.9])))
    0.75
    """
    labels = tf.cast(labels, tf.float64)
    positives, negatives = labels, 1.0 - labels
    if weights is not None:
        positives, negatives = (tf.cast(weights, tf.float64) * share for share in (positives, negatives))
    scores = tf.where(tf.math.is_finite(scores), scores, 0.0)
    order = tf.argsort(scores)
    ordered = tf.gather(scores, order)[tf.newaxis]
    negatives_below = tf.concat([tf.zeros([1], tf.float64), tf.cumsum(tf.gather(negatives, order))], axis=0)
    # Twice the number of negatives below each score, because a tie counts half.
    below = [tf.searchsorted(ordered, scores[tf.newaxis], side)[0] for side in ("left", "right")]
    doubled = tf.add_n([tf.gather(negatives_below, ranks) for ranks in below])
    pairs = tf.reduce_sum(positives) * tf.reduce_sum(negatives)
    return tf.where(pairs > 0, tf.math.divide_no_nan(tf.reduce_sum(positives * doubled) / 2.0, pairs), 0.5)


def _measure_binary(rows: AlignedRows, loss: KnownLoss) -> dict[str, tf.Tensor]:
    """Measures a binary task."""
    y, p, weights = rows.labels, rows.predictions, rows.weights
    logits = p if loss.is_logits else tf.math.log(tf.maximum(p, 1e-7)) - tf.math.log(tf.maximum(1.0 - p, 1e-7))
    p = tf.sigmoid(p) if loss.is_logits else p
    auc = compute_batch_auc(y, logits, weights)
    y = y * (1.0 - loss.label_smoothing) + 0.5 * loss.label_smoothing
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
    smoothed = smoothed_share(_sum(y, weights), _sum(tf.ones_like(y), weights))
    constant_loss = constant_cross_entropy(_mean(y, weights), smoothed, tf.math.log)
    return {"auc": auc} | _measure_task(losses, constant_loss, y, p, rows)


def _measure_squared(rows: AlignedRows) -> dict[str, tf.Tensor]:
    """Measures a regression."""
    y, p, weights = rows.labels, rows.predictions, rows.weights
    variance = _mean(tf.square(y - _mean(y, weights)), weights)
    return _measure_task(tf.square(y - p), variance, y, p, rows)


def _measure_task(
    losses: tf.Tensor, constant_loss: tf.Tensor, y: tf.Tensor, p: tf.Tensor, rows: AlignedRows
) -> dict[str, tf.Tensor]:
    weights = rows.weights
    mean_loss, mean_label = _mean(losses, weights), _mean(y, weights)
    if weights is None:
        keras_loss, count = mean_loss, tf.cast(tf.size(y), tf.float32)
    else:
        # Keras divides by the number of rows, not by the sum of their weights.
        keras_loss = tf.math.divide_no_nan(_sum(losses, weights), rows.unmasked_count)
        count = tf.reduce_sum(tf.cast(weights > 0, tf.float32))
    return {
        "loss": keras_loss,
        # No division by 0, because a program may check that the result of every operation is finite.
        "normalized_loss": tf.where(constant_loss > 0, tf.math.divide_no_nan(mean_loss, constant_loss), 0.0),
        "calibration": tf.math.divide_no_nan(_mean(p, weights), mean_label),
        "mean_label": mean_label,
        "examples": count,
    }


def _sum(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return tf.reduce_sum(values if weights is None else values * weights)


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    if weights is None:
        return tf.reduce_mean(values)
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def _name_parts(model: Any, parts: Any) -> dict[str, Any]:
    """Returns labels, predictions or weights by output name, with an empty name for a single tensor."""
    if isinstance(parts, Mapping):
        return dict(parts)
    if isinstance(parts, list | tuple):
        return dict(zip(_list_output_names(model, len(parts)), parts, strict=False))
    return {"": parts}


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

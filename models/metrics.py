"""What is measured of one task, accumulated inside the training step and read when it is published."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from ..foundation.auc import auc_from_rank_sum
from .schema import Task

# AUC is computed from a histogram of logits. Buckets of 1/32 between -16 and 16: pairs that fall into one bucket count
# half, which changes the AUC of a ranker by far less than 1e-4.
_LOGIT_LIMIT = 16.0
_BUCKETS = 1024
_SUMS = ("examples", "loss", "prediction", "label", "label_squared", "error_squared")


class TaskMetrics(tf_keras.metrics.Metric):
    """Loss, means and quality of one task over the rows that have a label.

    Sums are kept in float64, so that a window of any length is exact. A prediction that is not finite ranks as a tie
    with all others of its kind, so that a diverged model has the AUC of chance and no metric raises; it makes the
    loss of its window non-finite, and that is how it is seen.

    Result: a mapping with, for a task ``t``, ``loss/t``, ``prediction_mean/t``, ``label_mean/t``, ``examples/t`` (rows
    with a label), and ``auc/t`` for a binary task, or ``rmse/t`` and ``rmse_of_mean/t`` (the RMSE of always predicting
    the mean label: chance) for a regression task. What has no value yet is NaN: everything without labels, ``auc/t``
    without both classes.

    Args:
      task: The task.
    """

    def __init__(self, task: Task):
        super().__init__(name=f"metrics_{task.name}", dtype="float64")
        self._task = task
        self._sums = self.add_weight(name="sums", shape=(len(_SUMS),), initializer="zeros")
        if task.kind == "binary":
            self._histogram = self.add_weight(name="histogram", shape=(_BUCKETS, 2), initializer="zeros")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Adds rows.

        Args:
          y_true: Labels, ``[B]`` or ``[B, 1]``, finite also where the mask is 0.
          y_pred: Logits of a binary task, predictions of a regression task, of the labels' shape.
          sample_weight: 1 for a row with a label, 0 for one without, of the labels' shape. Default: all ones.
        """
        label = tf.cast(tf.reshape(y_true, [-1]), tf.float64)
        logit = tf.cast(tf.reshape(y_pred, [-1]), tf.float64)
        mask = tf.ones_like(label) if sample_weight is None else tf.cast(tf.reshape(sample_weight, [-1]), tf.float64)
        prediction = tf.sigmoid(logit) if self._task.kind == "binary" else logit
        error = prediction - label
        rows = [tf.ones_like(label), tf.zeros_like(label), prediction, label, tf.square(label), tf.square(error)]
        # A mask of 0 must also silence a prediction that is not finite: 0 * NaN would not.
        masked = tf.where(mask[:, tf.newaxis] > 0, tf.stack(rows, axis=1), 0.0)
        self._sums.assign_add(tf.reduce_sum(masked, axis=0))
        if self._task.kind == "binary":
            self._histogram.assign_add(histogram_of(label, logit, mask))

    def add_loss_sum(self, loss: tf.Tensor) -> None:
        """Adds the loss of the rows of the last update, summed over them; a scalar."""
        index = _SUMS.index("loss")
        self._sums.assign_add(tf.one_hot(index, len(_SUMS), dtype=tf.float64) * tf.cast(loss, tf.float64))

    def reset_state(self) -> None:
        """Starts a new window."""
        # Keras's own resets every weight to the scalar 0, which does not fit a vector.
        for weight in self.weights:
            weight.assign(tf.zeros_like(weight))

    def result(self) -> dict[str, tf.Tensor]:
        """The metrics over all rows since the last reset."""
        examples, loss, prediction, label, label_squared, error_squared = tf.unstack(self._sums)
        name = self._task.name
        label_mean = label / examples
        results = {
            f"loss/{name}": loss / examples,
            f"prediction_mean/{name}": prediction / examples,
            f"label_mean/{name}": label_mean,
            f"examples/{name}": examples,
        }
        if self._task.kind == "binary":
            results[f"auc/{name}"] = histogram_auc(self._histogram)
        else:
            variance = tf.maximum(label_squared / examples - tf.square(label_mean), 0.0)
            results[f"rmse/{name}"] = tf.sqrt(error_squared / examples)
            results[f"rmse_of_mean/{name}"] = tf.sqrt(variance)
        return results


def histogram_of(label: tf.Tensor, logit: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Counts of negatives and positives in buckets of growing logits, ``[buckets, 2]``, from ``[B]``, float64 each."""
    finite = tf.where(tf.math.is_finite(logit), logit, tf.zeros_like(logit))
    place = (tf.clip_by_value(finite, -_LOGIT_LIMIT, _LOGIT_LIMIT) + _LOGIT_LIMIT) / (2 * _LOGIT_LIMIT)
    bucket = tf.cast(place * (_BUCKETS - 1), tf.int32)
    classes = tf.stack([mask * (1 - label), mask * label], axis=1)
    return tf.math.unsorted_segment_sum(classes, bucket, _BUCKETS)


def histogram_auc(histogram: tf.Tensor) -> tf.Tensor:
    """AUC from counts of negatives and positives in buckets of growing logits, ``[buckets, 2]``; a scalar.

    The share of pairs of a negative and a positive in which the positive stands in the higher bucket; pairs in one
    bucket count half. NaN without both classes.
    """
    negatives, positives = histogram[:, 0], histogram[:, 1]
    rows = negatives + positives
    mean_ranks = tf.cumsum(rows, exclusive=True) + (rows + 1.0) / 2.0
    return auc_from_rank_sum(tf.reduce_sum(positives * mean_ranks), tf.reduce_sum(positives), tf.reduce_sum(negatives))

"""The metrics of one task, accumulated inside the training step and read when they are published.

Shapes: B rows of a batch, K buckets of the histogram of logits.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from ..foundation.auc import auc_from_rank_sum
from .schema import Task

# The AUC is computed from a histogram of logits, in buckets of 1/32 between -16 and 16. A pair within one bucket counts
# half, which changes the AUC of a ranker by far less than 1e-4.
_LOGIT_LIMIT = 16.0
_BUCKETS = 1024
_SUMS = ("examples", "loss", "prediction", "label", "label_squared", "error_squared")


class TaskMetrics(tf_keras.metrics.Metric):
    """Loss, means and quality of one task over the rows that have a label.

    The sums are float64, so that they are exact over any number of rows. All predictions that are not finite rank as a
    tie. A diverged model therefore has an AUC of 0.5, and no metric raises an error. Its loss is not finite, which
    shows the divergence.

    | key, for a task ``t`` | meaning |
    |---|---|
    | ``loss/t`` | mean loss |
    | ``prediction_mean/t``, ``label_mean/t`` | mean prediction and mean label |
    | ``examples/t`` | number of rows with a label |
    | ``auc/t`` | binary tasks: area under the ROC curve |
    | ``rmse/t`` | regression tasks: root mean squared error |
    | ``rmse_of_mean/t`` | regression tasks: RMSE of always predicting the mean label, the level of chance |

    Means, RMSE and AUC are weighted by the task's ``example_weight``, so that a row of weight 2 counts as two rows.
    ``examples/t`` counts the rows with a weight above 0, and ignores how large it is.

    A metric without a value is NaN: without labels, all metrics except ``examples/t``; without both classes, ``auc/t``.

    Args:
      task: The task.
    """

    def __init__(self, task: Task):
        super().__init__(name=f"metrics_{task.name}", dtype="float64")
        self._task = task
        # Without weights, their sum is the number of rows.
        self._sum_names = (*_SUMS, "weight") if task.example_weight else _SUMS
        self._sums = self.add_weight(name="sums", shape=(len(self._sum_names),), initializer="zeros")
        if task.kind == "binary":
            self._histogram = self.add_weight(name="histogram", shape=(_BUCKETS, 2), initializer="zeros")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Adds rows.

        Args:
          y_true: Labels, ``[B]`` or ``[B, 1]``; finite also where the weight is 0.
          y_pred: Logits of a binary task or predictions of a regression task, in the labels' shape.
          sample_weight: The row's weight, or 1 if the task has no ``example_weight``; 0 for a row without a label. In the
            labels' shape. Default: all ones.
        """
        label_B = tf.cast(tf.reshape(y_true, [-1]), tf.float64)
        logit_B = tf.cast(tf.reshape(y_pred, [-1]), tf.float64)
        weight_B = tf.ones_like(label_B)
        if sample_weight is not None:
            weight_B = tf.cast(tf.reshape(sample_weight, [-1]), tf.float64)
        prediction_B = tf.sigmoid(logit_B) if self._task.kind == "binary" else logit_B
        summands = [
            tf.ones_like(label_B),
            tf.zeros_like(label_B),
            weight_B * prediction_B,
            weight_B * label_B,
            weight_B * tf.square(label_B),
            weight_B * tf.square(prediction_B - label_B),
        ]
        if self._task.example_weight:
            summands.append(weight_B)
        # tf.where, because 0 times a prediction that is not finite would be NaN.
        masked = tf.where(weight_B[:, tf.newaxis] > 0, tf.stack(summands, axis=1), 0.0)
        self._sums.assign_add(tf.reduce_sum(masked, axis=0))
        if self._task.kind == "binary":
            self._histogram.assign_add(logit_histogram(label_B, logit_B, weight_B))

    def add_loss_sum(self, loss: tf.Tensor) -> None:
        """Adds the summed loss of the rows of the last update, each times its weight; a scalar."""
        is_loss = tf.constant([name == "loss" for name in self._sum_names])
        # Not a product with 0 and 1, because 0 times a loss that is not finite would make the other sums NaN.
        self._sums.assign_add(tf.where(is_loss, tf.cast(loss, tf.float64), 0.0))

    def reset_state(self) -> None:
        """Resets all sums to 0."""
        # Keras's implementation assigns the scalar 0, which does not fit a vector.
        for weight in self.weights:
            weight.assign(tf.zeros_like(weight))

    def result(self) -> dict[str, tf.Tensor]:
        """Returns the metrics over all rows since the last reset."""
        sums = dict(zip(self._sum_names, tf.unstack(self._sums), strict=True))
        name, weight = self._task.name, sums.get("weight", sums["examples"])
        label_mean = sums["label"] / weight
        results = {
            f"loss/{name}": sums["loss"] / weight,
            f"prediction_mean/{name}": sums["prediction"] / weight,
            f"label_mean/{name}": label_mean,
            f"examples/{name}": sums["examples"],
        }
        if self._task.kind == "binary":
            results[f"auc/{name}"] = histogram_auc(self._histogram)
        else:
            variance = tf.maximum(sums["label_squared"] / weight - tf.square(label_mean), 0.0)
            results[f"rmse/{name}"] = tf.sqrt(sums["error_squared"] / weight)
            results[f"rmse_of_mean/{name}"] = tf.sqrt(variance)
        return results


def logit_histogram(label_B: tf.Tensor, logit_B: tf.Tensor, weight_B: tf.Tensor) -> tf.Tensor:
    """Adds the weights of negatives and positives in buckets of increasing logits, ``[K, 2]``. All are float64."""
    finite_B = tf.where(tf.math.is_finite(logit_B), logit_B, tf.zeros_like(logit_B))
    share_B = (tf.clip_by_value(finite_B, -_LOGIT_LIMIT, _LOGIT_LIMIT) + _LOGIT_LIMIT) / (2 * _LOGIT_LIMIT)
    bucket_B = tf.cast(share_B * (_BUCKETS - 1), tf.int32)
    classes_B2 = tf.stack([weight_B * (1 - label_B), weight_B * label_B], axis=1)
    return tf.math.unsorted_segment_sum(classes_B2, bucket_B, _BUCKETS)


def histogram_auc(histogram_K2: tf.Tensor) -> tf.Tensor:
    """Computes the AUC from a :func:`logit_histogram`; a scalar.

    The AUC is the share of pairs of a negative and a positive whose positive is in the higher bucket. A pair within one
    bucket counts half. NaN without both classes.
    """
    negatives_K, positives_K = histogram_K2[:, 0], histogram_K2[:, 1]
    rows_K = negatives_K + positives_K
    mean_ranks_K = tf.cumsum(rows_K, exclusive=True) + (rows_K + 1.0) / 2.0
    return auc_from_rank_sum(
        tf.reduce_sum(positives_K * mean_ranks_K), tf.reduce_sum(positives_K), tf.reduce_sum(negatives_K)
    )

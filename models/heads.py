"""One tower per task, with its loss and metrics.

Shapes: B rows of a batch, H width of the trunk's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from .metrics import TaskMetrics, logit_histogram
from .schema import Task
from .trunks import make_dense_layers, make_regularizer


class LabeledSums(NamedTuple):
    """Sums over the rows that have a label: scalars of one task, or ``[T]`` for T tasks. All but the loss are float64.

    Each row is multiplied by its weight, except in ``examples``.

    Attributes:
      loss: Sum of the losses.
      examples: Number of rows with a label and a weight above 0.
      weight: Sum of the weights; equal to ``examples`` for a task without ``example_weight``.
      prediction: Sum of the predictions, in the label's unit.
      label: Sum of the labels.
      label_squared: Sum of the squared labels.
    """

    loss: tf.Tensor
    examples: tf.Tensor
    weight: tf.Tensor
    prediction: tf.Tensor
    label: tf.Tensor
    label_squared: tf.Tensor


class Head(tf_keras.layers.Layer):
    """A task's tower, loss and metrics.

    The tower ends in one number: the logit of a binary task, the prediction of a regression task. Its bias starts at
      the best
    constant prediction, so that the first steps need not learn the mean.

    The loss is ``tfrs.tasks.Ranking``: cross entropy for a binary task, squared error for a regression task, *summed*
      over the rows
    that have a label, each times its weight. The ranker divides by the sum of the weights, because it adds them over all
      replicas. Without ``example_weight``, this sum is the number of rows.

    Args:
      task: The task.
      units: Widths of the tower's hidden layers.
      l2: Factor of the L2 regularization.
      label_mean: Mean label of the data; None if it is not known.
    """

    def __init__(self, task: Task, units: Sequence[int] = (), l2: float = 0.0, label_mean: float | None = None):
        super().__init__(name=f"tower_{task.name}")
        self.task = task
        self._hidden = make_dense_layers(units, l2)
        # float32 under any policy: a logit in half precision would make the loss inexact.
        self._output = tf_keras.layers.Dense(
            1,
            name="output",
            dtype="float32",
            kernel_regularizer=make_regularizer(l2),
            bias_initializer=tf_keras.initializers.Constant(_best_constant_output(task, label_mean)),
        )
        self.task_metrics = TaskMetrics(task)
        reduction = tf_keras.losses.Reduction.SUM
        loss = (
            tf_keras.losses.BinaryCrossentropy(from_logits=True, reduction=reduction)
            if task.kind == "binary"
            else tf_keras.losses.MeanSquaredError(reduction=reduction)
        )
        self._ranking = tfrs.tasks.Ranking(loss=loss, metrics=[self.task_metrics], name=f"task_{task.name}")

    def call(self, x_BH: tf.Tensor) -> tf.Tensor:
        """Returns the tower's output, ``[B, 1]``, float32."""
        for layer in self._hidden:
            x_BH = layer(x_BH)
        return self._output(x_BH)

    def convert_to_prediction(self, output_B1: tf.Tensor) -> tf.Tensor:
        """Converts the tower's output to a probability or a value in the label's unit, ``[B]``."""
        output_B = tf.squeeze(output_B1, axis=1)
        return tf.sigmoid(output_B) if self.task.kind == "binary" else output_B

    def update_metrics(self, columns: Mapping[str, tf.Tensor], output_B1: tf.Tensor) -> LabeledSums:
        """Updates the metrics and returns the sums over the rows that have a label.

        Args:
          columns: Holds the labels, NaN where missing, and the weights, if the task has an ``example_weight``.
          output_B1: The tower's output.
        """
        weight_B1, label_B1, output_B1 = self._mask_missing(columns, output_B1)
        loss = self._ranking(labels=label_B1, predictions=output_B1, sample_weight=weight_B1)
        self.task_metrics.add_loss_sum(loss)
        weight_B, label_B = (tf.cast(column[:, 0], tf.float64) for column in (weight_B1, label_B1))
        present_B = weight_B > 0
        prediction_B = tf.where(present_B, weight_B * tf.cast(self.convert_to_prediction(output_B1), tf.float64), 0.0)
        summands = [
            tf.cast(present_B, tf.float64),
            weight_B,
            prediction_B,
            weight_B * label_B,
            weight_B * tf.square(label_B),
        ]
        return LabeledSums(loss, *tf.unstack(tf.reduce_sum(tf.stack(summands), axis=1)))

    def count_logits(self, columns: Mapping[str, tf.Tensor], output_B1: tf.Tensor) -> tf.Tensor:
        """Returns the :func:`~.metrics.logit_histogram` of a binary task. Arguments: see :meth:`update_metrics`."""
        weight_B1, label_B1, output_B1 = self._mask_missing(columns, output_B1)
        return logit_histogram(*(tf.cast(column[:, 0], tf.float64) for column in (label_B1, output_B1, weight_B1)))

    def mean_loss(self, columns: Mapping[str, tf.Tensor], output_B1: tf.Tensor) -> tf.Tensor:
        """Computes the weighted mean loss over the rows that have a label, without updating metrics; 0 if there are none.

        See :meth:`update_metrics` for the arguments.
        """
        weight_B1, label_B1, output_B1 = self._mask_missing(columns, output_B1)
        loss = self._ranking(labels=label_B1, predictions=output_B1, sample_weight=weight_B1, compute_metrics=False)
        return tf.math.divide_no_nan(loss, tf.reduce_sum(weight_B1))

    def _mask_missing(
        self, columns: Mapping[str, tf.Tensor], output_B1: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns weights, labels and output, all 0 in the rows without a label or of weight 0; ``[B, 1]`` each."""
        label_B1 = columns[self.task.label_column][:, tf.newaxis]
        present_B1 = tf.logical_not(tf.math.is_nan(label_B1))
        if self.task.example_weight:
            weight_B1 = columns[self.task.example_weight][:, tf.newaxis]
            present_B1 = tf.logical_and(present_B1, weight_B1 > 0)
            weight_B1 = tf.where(present_B1, weight_B1, 0.0)
        else:
            weight_B1 = tf.cast(present_B1, tf.float32)
        # Missing labels are replaced before the loss, and so are their outputs, because 0 * NaN would reach the gradient.
        return weight_B1, tf.where(present_B1, label_B1, 0.0), tf.where(present_B1, output_B1, 0.0)


def _best_constant_output(task: Task, label_mean: float | None) -> float:
    if label_mean is None:
        return 0.0
    if task.kind == "regression":
        return label_mean
    share = np.clip(label_mean, 1e-4, 1 - 1e-4)
    return float(np.log(share / (1 - share)))

"""One tower for each task, and its loss.

Shapes: B rows of a batch, H width of the trunk's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from .metrics import TaskMetrics, histogram_of
from .schema import Task
from .trunks import regularizer


class Sums(NamedTuple):
    """What the rows with a label add up to, scalars; all but the loss in float64.

    Attributes:
      loss: Their losses.
      examples: How many they are.
      prediction: What is predicted for them, in the label's unit.
      label: Their labels.
      label_squared: The squares of those.
    """

    loss: tf.Tensor
    examples: tf.Tensor
    prediction: tf.Tensor
    label: tf.Tensor
    label_squared: tf.Tensor


class Head(tf_keras.layers.Layer):
    """A task's tower, loss and metrics.

    The tower ends in one number: the logit of a binary task, the prediction of a regression task. Its bias starts
    where a constant prediction is best, so that the first steps are not spent on finding the mean.

    The loss is ``tfrs.tasks.Ranking``: cross entropy for a binary task, squared error for a regression task, *summed* over
    the rows that have a label. Who divides is the ranker, since the divisor counts the rows of all replicas.

    Args:
      task: The task.
      units: Widths of the tower's hidden layers.
      l2: Factor of the squared kernels in the loss.
      label_mean: Mean label in the data, None when it is not known.
    """

    def __init__(self, task: Task, units: Sequence[int] = (), l2: float = 0.0, label_mean: float | None = None):
        super().__init__(name=f"tower_{task.name}")
        self.task = task
        self._hidden = [
            tf_keras.layers.Dense(
                width, "relu", kernel_initializer="he_normal", kernel_regularizer=regularizer(l2), name=f"layer_{i}"
            )
            for i, width in enumerate(units)
        ]
        # In float32 whatever the policy: a logit in half precision costs the loss its digits.
        self._output = tf_keras.layers.Dense(
            1,
            name="output",
            dtype="float32",
            kernel_regularizer=regularizer(l2),
            bias_initializer=tf_keras.initializers.Constant(_first_output(task, label_mean)),
        )
        self.window = TaskMetrics(task)
        reduction = tf_keras.losses.Reduction.SUM
        loss = (
            tf_keras.losses.BinaryCrossentropy(from_logits=True, reduction=reduction)
            if task.kind == "binary"
            else tf_keras.losses.MeanSquaredError(reduction=reduction)
        )
        self._ranking = tfrs.tasks.Ranking(loss=loss, metrics=[self.window], name=f"task_{task.name}")

    def call(self, shared: tf.Tensor) -> tf.Tensor:
        """``[B, H] -> [B, 1]``, float32."""
        for layer in self._hidden:
            shared = layer(shared)
        return self._output(shared)

    def predict_from(self, output: tf.Tensor) -> tf.Tensor:
        """What is served: a probability or a value in the label's unit; ``[B, 1] -> [B]``."""
        output = tf.squeeze(output, axis=1)
        return tf.sigmoid(output) if self.task.kind == "binary" else output

    def sums(self, labels: tf.Tensor, output: tf.Tensor) -> Sums:
        """What the rows with a label add up to.

        The metrics are updated on the way.

        Args:
          labels: ``[B]``, NaN where missing.
          output: The tower's output, ``[B, 1]``.
        """
        present, labels, output = _masked(labels, output)
        loss = self._ranking(labels=labels, predictions=output, sample_weight=tf.cast(present, tf.float32))
        self.window.add_loss_sum(loss)
        prediction = tf.where(present[:, 0], tf.cast(self.predict_from(output), tf.float64), 0.0)
        label = tf.cast(labels[:, 0], tf.float64)
        others = tf.stack([tf.cast(present[:, 0], tf.float64), prediction, label, tf.square(label)])
        return Sums(loss, *tf.unstack(tf.reduce_sum(others, axis=1)))

    def histogram(self, labels: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """Of a binary task's rows with a label, see :func:`.metrics.histogram_of`; arguments as for :meth:`sums`."""
        present, labels, output = _masked(labels, output)
        return histogram_of(*(tf.cast(each[:, 0], tf.float64) for each in (labels, output, present)))

    def mean_loss(self, labels: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """The loss over the rows with a label, 0 without any; no metric is updated. Arguments as for :meth:`sums`."""
        present, labels, output = _masked(labels, output)
        mask = tf.cast(present, tf.float32)
        loss = self._ranking(labels=labels, predictions=output, sample_weight=mask, compute_metrics=False)
        return tf.math.divide_no_nan(loss, tf.reduce_sum(mask))


def _masked(labels: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which rows have a label, and labels and output with 0 where there is none; ``[B, 1]``."""
    present = tf.logical_not(tf.math.is_nan(labels))[:, tf.newaxis]
    # Replaced before the loss, on both sides: a masked NaN would still reach the gradient as 0 * NaN.
    return present, tf.where(present, labels[:, tf.newaxis], 0.0), tf.where(present, output, 0.0)


def _first_output(task: Task, label_mean: float | None) -> float:
    if label_mean is None:
        return 0.0
    if task.kind == "regression":
        return label_mean
    share = np.clip(label_mean, 1e-4, 1 - 1e-4)
    return float(np.log(share / (1 - share)))

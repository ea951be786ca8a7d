"""The multitask ranker: an encoder, shared layers and one tower per task.

Shapes: B rows of a batch, L values of a bag, T tasks. ``inputs`` are the columns of a batch by name: the schema's
features and labels in one mapping. ``outputs`` are the towers' outputs by task, ``[B, 1]`` each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from ..foundation.constant_baseline import constant_cross_entropy, smoothed_share
from ..foundation.metric_key import MetricKey
from .encoders import Encoder
from .finite_rows import separate_rows
from .heads import Head, LabeledSums
from .metrics import histogram_auc
from .schema import Schema
from .statistics import Statistics
from .trunks import CrossNetwork, SharedBottom


class MultitaskRanker(tfrs.Model):
    """A Keras model that ranks by several tasks over shared layers.

    Use it if each row is one impression and you want to predict several outcomes. Labels may be missing. The ranker
    trains with Keras ``fit`` under any strategy. A batch maps column names to tensors: the schema's features and labels
    in one mapping.

    The loss is ``sum_t weight_t * (sum of task t's losses) / (rows with a label of task t) + regularization``. The rows
    are counted over the batches of all replicas, so that N replicas take the same step as one. A task without any label
    in the batch contributes 0 and no gradient.

    Args:
      schema: The features and tasks.
      statistics: Means and standard deviations for the normalization, and mean labels for the towers' initial biases.
        Default: none, for a schema without normalized features.
      shared_units: Widths of the layers of the shared bottom.
      cross_layers: Number of DCN-v2 layers before the shared bottom; 0 for none.
      cross_projection: Rank of the weight matrices of DCN-v2; 0 for full rank.
      cross_layer_norm: Whether a layer normalization precedes DCN-v2.
      tower_units: Widths of the hidden layers of each tower.
      l2: Factor of the L2 regularization of the shared layers and the towers.
      name: Name of the model.

    Input: a mapping that contains the schema's features, ``[B]`` or ``[B, L]``; other keys are ignored. Output: a
      mapping from task to ``[B]``, float32: the probability of a binary task, the value of a regression task. NaN for a
      row in which a number is missing without a default, is infinite or is too large to compute with.

    Raises:
      ValueError: If the statistics lack a normalized feature.

    Example:
    >>> import tensorflow as tf
    >>> from steadyrank.models import Feature, Task
    >>> schema = Schema(
    ...     features=(Feature("age", "numerical", normalization="none"),),
    ...     tasks=(Task("click", "binary"), Task("minutes", "regression", weight=0.1)),
    ... )
    >>> ranker = MultitaskRanker(schema, shared_units=(8,), tower_units=())
    >>> sorted(ranker({"age": tf.constant([0.3, 0.9])}))
    ['click', 'minutes']
    """

    def __init__(
        self,
        schema: Schema,
        statistics: Statistics | None = None,
        *,
        shared_units: Sequence[int] = (256, 256),
        cross_layers: int = 0,
        cross_projection: int = 0,
        cross_layer_norm: bool = True,
        tower_units: Sequence[int] = (64,),
        l2: float = 0.0,
        name: str = "ranker",
    ):
        # No autocast: the encoder casts after normalizing, because a large raw counter is infinite in float16.
        super().__init__(name=name, autocast=False)
        # A step's metrics already cover all replicas. By default, Keras would add up the replicas' values.
        self.distribute_reduction_method = "first"
        self.on_step_metrics: Callable[[dict[str, tf.Tensor]], None] | None = None
        statistics = statistics or Statistics()
        self.schema = schema
        self.feature_names = tuple(feature.name for feature in schema.features)
        self._encoder = Encoder(schema, statistics)
        self._cross = CrossNetwork(cross_layers, cross_projection, cross_layer_norm, l2) if cross_layers else None
        self._shared = SharedBottom(shared_units, l2)
        self._heads = [Head(task, tower_units, l2, statistics.label_mean.get(task.name)) for task in schema.tasks]
        self._regularization = tf_keras.metrics.Mean(name="regularization_loss")
        # Calls the model to create every variable, so that an untrained ranker can restore a checkpoint or be exported.
        self(_make_dummy_row(schema))

    def call(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the predictions by task."""
        outputs = self._compute_outputs(columns)
        return {head.task.name: head.convert_to_prediction(outputs[head.task.name]) for head in self._heads}

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Computes one replica's share of the loss, a scalar, without the regularization. The shares add up to the loss.

        Args:
          inputs: The schema's features and labels.
          training: Unused, because no layer behaves differently in training.
        """
        del training
        return self._compute_loss_and_sums(inputs, self._compute_outputs(inputs))[0]

    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes one step of Keras ``fit`` and returns the metrics since the last reset.

        If the attribute ``on_step_metrics`` is a function, the step calls it before the optimizer, while it is traced.
        The argument holds the metrics of this step alone, as scalars over the batches of all replicas:

        | key, for a task ``t`` | meaning |
        |---|---|
        | ``loss``, ``loss/t`` | weighted sum of the tasks' mean losses; mean loss |
        | ``examples/t`` | number of rows with a label |
        | ``normalized_loss/t`` | loss divided by the loss of the best constant prediction for this batch |
        | ``calibration/t`` | mean prediction divided by mean label |
        | ``auc/t`` | binary tasks: area under the ROC curve; 0.5 if a class is missing |

        If a task has no label in the batch, only its ``examples/t`` is meaningful.
        """
        with tf.GradientTape() as tape:
            outputs = self._compute_outputs(inputs)
            loss, sums = self._compute_loss_and_sums(inputs, outputs)
            loss += self._update_regularization()
            if self.on_step_metrics is not None:
                self.on_step_metrics(self._compute_step_metrics(sums) | self._compute_step_auc(inputs, outputs))
            scaled_loss = loss
            if isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
                scaled_loss = self.optimizer.get_scaled_loss(loss)
        gradients = tape.gradient(scaled_loss, self.trainable_variables)
        if scaled_loss is not loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes one step of Keras ``evaluate`` and returns the metrics over all rows so far."""
        self.compute_loss(inputs)
        self._update_regularization()
        return self.get_metrics_result()

    def task_losses(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Computes each task's weighted mean loss on a batch of one replica, without updating metrics.

        Args:
          inputs: The schema's features and labels.
        """
        outputs = self._compute_outputs(inputs)
        return {
            head.task.name: head.task.weight * head.mean_loss(inputs, outputs[head.task.name]) for head in self._heads
        }

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns every metric since the last reset, by its key.

        ``loss`` is the weighted sum of the tasks' mean losses over *all* rows since the reset, plus the regularization.
        A task without labels contributes 0. :class:`~.metrics.TaskMetrics` lists the keys of the tasks.
        """
        results: dict[str, tf.Tensor] = {}
        total = tf.cast(self._regularization.result(), tf.float64)
        for head in self._heads:
            metrics = head.task_metrics.result()
            name = head.task.name
            total += tf.where(metrics[f"examples/{name}"] > 0, head.task.weight * metrics[f"loss/{name}"], 0.0)
            results |= metrics
        return {"loss": total, "regularization_loss": self._regularization.result()} | results

    def _compute_loss_and_sums(
        self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, LabeledSums]:
        """Returns one replica's part of the loss, and the tasks' sums over all replicas, ``[T]`` each."""
        replica_sums = [head.update_metrics(inputs, outputs[head.task.name]) for head in self._heads]
        loss_T = tf.stack([sums.loss for sums in replica_sums])
        # One reduction for all sums, because each one costs a round of communication.
        stacked = tf.stack([tf.stack([tf.cast(value, tf.float64) for value in sums]) for sums in replica_sums], axis=1)
        global_sums = LabeledSums(*tf.unstack(_sum_over_replicas(stacked)))
        weight_T = tf.cast(global_sums.weight, tf.float32)
        return tf.reduce_sum(self._weights() * tf.math.divide_no_nan(loss_T, weight_T)), global_sums

    def _compute_step_metrics(self, sums: LabeledSums) -> dict[str, tf.Tensor]:
        """Computes the metrics of one step other than the AUC; see :meth:`train_step`."""
        loss_T, prediction_T, label_T, label_squared_T = (
            total / sums.weight for total in (sums.loss, sums.prediction, sums.label, sums.label_squared)
        )
        # Smoothed, because a batch of one class would have an entropy of 0. Only the ratios of the weights count, so the
        # positives are expressed in rows of mean weight.
        positives_T = sums.label * (sums.examples / sums.weight)
        entropy_T = constant_cross_entropy(label_T, smoothed_share(positives_T, sums.examples), tf.math.log)
        is_binary_T = tf.constant([head.task.kind == "binary" for head in self._heads])
        constant_loss_T = tf.where(is_binary_T, entropy_T, label_squared_T - tf.square(label_T))
        task_metrics = {
            "loss": loss_T,
            "examples": sums.examples,
            # If all labels are equal, no prediction is better than the constant one.
            "normalized_loss": tf.where(constant_loss_T > 0, loss_T / constant_loss_T, 0.0),
            "calibration": prediction_T / label_T,
        }
        weighted_T = tf.cast(self._weights(), tf.float64) * tf.where(sums.examples > 0, loss_T, 0.0)
        metrics = {"loss": tf.reduce_sum(weighted_T)}
        for kind, values_T in task_metrics.items():
            keys = [str(MetricKey(kind, head.task.name)) for head in self._heads]
            metrics |= dict(zip(keys, tf.unstack(values_T, len(keys)), strict=True))
        return metrics

    def _compute_step_auc(
        self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Computes the AUC of each binary task on this batch; 0.5 if a class is missing."""
        binary_heads = [head for head in self._heads if head.task.kind == "binary"]
        if not binary_heads:
            return {}
        histograms = tf.stack([head.count_logits(inputs, outputs[head.task.name]) for head in binary_heads])
        aucs = [histogram_auc(histogram) for histogram in tf.unstack(_sum_over_replicas(histograms))]
        return {
            f"auc/{head.task.name}": tf.where(tf.math.is_nan(auc), tf.cast(0.5, auc.dtype), auc)
            for head, auc in zip(binary_heads, aucs, strict=True)
        }

    def _weights(self) -> tf.Tensor:
        return tf.constant([head.task.weight for head in self._heads])

    def _compute_outputs(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        x = self._encoder({feature.name: columns[feature.name] for feature in self.schema.features})
        x, mark_B1 = separate_rows(x)
        for trunk in (self._cross, self._shared):
            if trunk is not None:
                x, new_mark_B1 = separate_rows(trunk(x))
                mark_B1 += new_mark_B1
        return {head.task.name: head(x) + mark_B1 for head in self._heads}

    def _update_regularization(self) -> tf.Tensor:
        """Records the regularization loss. Returns this replica's share, because gradients are summed over replicas."""
        loss = tf.add_n([tf.cast(part, tf.float32) for part in self.losses]) if self.losses else tf.zeros([])
        self._regularization.update_state(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _sum_over_replicas(numbers: tf.Tensor) -> tf.Tensor:
    """Adds up the replicas' numbers, without a gradient."""
    if tf.distribute.in_cross_replica_context():
        raise RuntimeError("compute_loss runs on one replica; call it from a train_step or inside strategy.run")
    numbers = tf.stop_gradient(numbers)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        numbers = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, numbers)
    return numbers


def _make_dummy_row(schema: Schema) -> dict[str, tf.Tensor]:
    return {
        feature.name: tf.zeros([1, *feature.shape], feature.dtype)
        if feature.dtype != "string"
        else tf.fill([1, *feature.shape], "")
        for feature in schema.features
    }

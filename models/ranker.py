"""The multitask ranker: encoder, shared layers, one tower for each task.

Shapes: B rows of a batch, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from ..foundation.constant_baseline import constant_cross_entropy, smoothed_share
from .encoders import Encoder
from .heads import Head, Sums
from .metrics import histogram_auc
from .schema import Schema
from .statistics import Statistics
from .trunks import CrossNetwork, SharedBottom


class MultitaskRanker(tfrs.Model):
    """A ranker for several tasks over shared layers, as a Keras model.

    When to use it: one row is one impression, several things are to be predicted of it, some of them missing in some
    rows. It trains with Keras ``fit`` under any strategy, on batches that map column names to tensors: the schema's
    features and labels in one mapping.

    The loss is ``sum_t weight_t * (sum of task t's losses / rows with a label of task t) + regularisation``. Rows are
    counted over the whole batch, all replicas together, so that N replicas take the step that one would take. A task
    without any label in the batch contributes 0 and no gradient.

    Args:
      schema: What enters and leaves.
      statistics: What was learned from data: means and deviations for the normalisation, mean labels for the towers'
        first biases. Default: none, for a schema without normalised features.
      shared_units: Widths of the shared bottom.
      cross_layers: Layers of the DCN-v2 in front of it; 0 for none.
      cross_projection: Rank of the DCN-v2's matrices; 0 for full rank.
      cross_layer_norm: Whether a layer normalisation stands in front of the DCN-v2.
      tower_units: Widths of each tower's hidden layers.
      l2: Factor of the squared kernels of shared layers and towers in the loss.
      name: The model's name.

    Call: a mapping with the schema's features, ``[B]`` or ``[B, L]`` (further keys are ignored), to a mapping from
    task to ``[B]``: the probability of a binary task, the value of a regression task, float32.

    Raises:
      ValueError: When the statistics lack a normalised feature.

    Example:
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
        # The encoder casts, after normalising: a raw counter in float16 would be infinite.
        super().__init__(name=name, autocast=False)
        # What a step returns is measured over all replicas already; Keras would add the replicas' values up.
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
        # One row creates every variable: a checkpoint can be restored and an export made before any training.
        self(_one_row(schema))

    def call(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The predictions, by task."""
        outputs = self._outputs(columns)
        return {head.task.name: head.predict_from(outputs[head.task.name]) for head in self._heads}

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The data's part of the loss on one replica's share of a batch, a scalar; the replicas' parts add up.

        Args:
          inputs: The schema's features and labels.
          training: Unused: no layer here behaves differently in training.
        """
        del training
        return self._loss_and_sums(inputs, self._outputs(inputs))[0]

    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of Keras ``fit``; returns the metrics since they were last reset.

        When ``on_step_metrics`` is set, it is called while the step is traced, before the optimizer, with what is measured of
        this step alone: scalars over the whole batch, all replicas together. They are ``loss``, and for each task t
        ``loss/t``; ``examples/t``, its rows with a label; ``normalized_loss/t``, the loss in units of that of the best constant
        prediction for this batch; ``calibration/t``, mean prediction over mean label; ``auc/t`` of a binary task. Without
        labels the loss and what follows it have no meaning.
        """
        with tf.GradientTape() as tape:
            outputs = self._outputs(inputs)
            loss, sums = self._loss_and_sums(inputs, outputs)
            loss += self._regularization_loss()
            if self.on_step_metrics is not None:
                self.on_step_metrics(self._measures(sums) | self._areas(inputs, outputs))
            scaled = loss
            if isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
                scaled = self.optimizer.get_scaled_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        if scaled is not loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of Keras ``evaluate``; returns the metrics over all rows so far."""
        self.compute_loss(inputs)
        self._regularization_loss()
        return self.get_metrics_result()

    def task_losses(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Each task's weighted mean loss on a batch, by one replica alone; no metric is updated.

        Args:
          inputs: The schema's features and labels.
        """
        outputs = self._outputs(inputs)
        return {
            head.task.name: head.task.weight * head.mean_loss(inputs[head.task.label_column], outputs[head.task.name])
            for head in self._heads
        }

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Every metric since the last reset, by its key.

        ``loss`` is the weighted sum of the tasks' mean losses over *all* rows since then, plus the regularisation; tasks
        without labels count 0. The tasks' keys are those of :class:`~.metrics.TaskMetrics`.
        """
        results: dict[str, tf.Tensor] = {}
        total = tf.cast(self._regularization.result(), tf.float64)
        for head in self._heads:
            measured = head.window.result()
            name = head.task.name
            total += tf.where(measured[f"examples/{name}"] > 0, head.task.weight * measured[f"loss/{name}"], 0.0)
            results |= measured
        return {"loss": total, "regularization_loss": self._regularization.result()} | results

    def _loss_and_sums(
        self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, Sums]:
        """One replica's part of the loss; and the tasks' sums over all replicas, ``[T]`` each."""
        own = [head.sums(inputs[head.task.label_column], outputs[head.task.name]) for head in self._heads]
        losses = tf.stack([sums.loss for sums in own])
        together = tf.stack([tf.stack([tf.cast(each, tf.float64) for each in sums]) for sums in own], axis=1)
        all_sums = Sums(*tf.unstack(_over_replicas(together)))
        examples = tf.cast(all_sums.examples, tf.float32)
        return tf.reduce_sum(self._weights() * tf.math.divide_no_nan(losses, examples)), all_sums

    def _measures(self, sums: Sums) -> dict[str, tf.Tensor]:
        """See :meth:`train_step`."""
        loss, prediction, label, square = (
            each / sums.examples for each in (sums.loss, sums.prediction, sums.label, sums.label_squared)
        )
        # A batch of one class must not have an entropy of 0.
        entropy = constant_cross_entropy(label, smoothed_share(sums.label, sums.examples), tf.math.log)
        binary = tf.constant([head.task.kind == "binary" for head in self._heads])
        constant = tf.where(binary, entropy, square - tf.square(label))
        of_tasks = {
            "loss": loss,
            "examples": sums.examples,
            # Where all labels are the same, no prediction is better than the constant one.
            "normalized_loss": tf.where(constant > 0, loss / constant, 0.0),
            "calibration": prediction / label,
        }
        weighted = tf.cast(self._weights(), tf.float64) * tf.where(sums.examples > 0, loss, 0.0)
        measures = {"loss": tf.reduce_sum(weighted)}
        for kind, values in of_tasks.items():
            names = [f"{kind}/{head.task.name}" for head in self._heads]
            measures |= dict(zip(names, tf.unstack(values, len(names)), strict=True))
        return measures

    def _areas(self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The AUC of each binary task on this batch; that of chance where one of its classes is missing."""
        binary = [head for head in self._heads if head.task.kind == "binary"]
        if not binary:
            return {}
        counts = [head.histogram(inputs[head.task.label_column], outputs[head.task.name]) for head in binary]
        areas = [histogram_auc(each) for each in tf.unstack(_over_replicas(tf.stack(counts)))]
        return {
            f"auc/{head.task.name}": tf.where(tf.math.is_nan(area), tf.cast(0.5, area.dtype), area)
            for head, area in zip(binary, areas, strict=True)
        }

    def _weights(self) -> tf.Tensor:
        return tf.constant([head.task.weight for head in self._heads])

    def _outputs(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        shared = self._encoder({feature.name: columns[feature.name] for feature in self.schema.features})
        if self._cross:
            shared = self._cross(shared)
        shared = self._shared(shared)
        return {head.task.name: head(shared) for head in self._heads}

    def _regularization_loss(self) -> tf.Tensor:
        # Each replica adds its share, since the gradients of the replicas are summed.
        loss = tf.add_n([tf.cast(part, tf.float32) for part in self.losses]) if self.losses else tf.zeros([])
        self._regularization.update_state(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _over_replicas(numbers: tf.Tensor) -> tf.Tensor:
    """The sum of the replicas' numbers, without a gradient."""
    if tf.distribute.in_cross_replica_context():
        raise RuntimeError("compute_loss runs on one replica: call it from a train_step, or inside strategy.run")
    numbers = tf.stop_gradient(numbers)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        numbers = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, numbers)
    return numbers


def _one_row(schema: Schema) -> dict[str, tf.Tensor]:
    return {
        feature.name: tf.zeros([1, *feature.shape], feature.dtype)
        if feature.dtype != "string"
        else tf.fill([1, *feature.shape], "")
        for feature in schema.features
    }

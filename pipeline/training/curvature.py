"""The Keras callback that measures sharpness and the conflict between tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from ..divergence import DivergenceMonitor
from ..divergence.sharpness import (
    ConflictProbe,
    GradientConflict,
    SharpnessProbe,
    find_adagrad_accumulators,
    find_shared_variables,
)

# Power iterations per measurement. Two or three suffice from the previous eigenvector. The first measurement is less
# precise.
_ITERATIONS = 4
_TOLERANCE = 0.05


class CurvatureCallback(tf_keras.callbacks.Callback):
    """Measures the curvature of the loss on the first rows of the day. The monitor publishes the result.

    | key | meaning | unit |
    |---|---|---|
    | ``sharpness`` | largest eigenvalue of the loss's Hessian, without embedding tables | loss per squared weight |
    | ``sharpness_preconditioned`` | the same with Adagrad's preconditioner; steps are stable up to 2 / learning rate | 1 |
    | ``task_gradient/<task>`` | norm of the task's weighted gradient with respect to the shared layers | loss per weight |
    | ``task_share/<task>`` | the norm ``task_gradient/<task>`` divided by the sum of all tasks' norms | share |
    | ``task_cosine/<task>`` | cosine between the task's gradient and the sum of the other tasks' gradients; a conflict if below 0 | -1 to 1 |

    A ranker with one task has only the first two keys.

    Args:
      every: Steps between two measurements; 0 disables them.
      monitor: Provides the current step and publishes the metrics.
    """

    def __init__(self, every: int, monitor: DivergenceMonitor):
        super().__init__()
        self._every = every
        self._monitor = monitor
        self._batch: Mapping[str, tf.Tensor] | None = None
        self._measured_step = 0
        self._sharpness: SharpnessProbe | None = None
        self._conflict: ConflictProbe | None = None

    def begin_day(self, batch: Mapping[str, tf.Tensor]) -> None:
        """Sets the batch for the following measurements."""
        self._batch = batch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Measures if the last steps reached or passed a multiple of ``every``."""
        step = self._monitor.step
        if self._every and self._batch is not None and step // self._every > self._measured_step // self._every:
            self._measured_step = step
            self._monitor.add_metrics(self.measure(self._batch))

    def measure(self, batch: Mapping[str, tf.Tensor]) -> dict[str, float]:
        """Returns the metrics listed in the class docstring for one batch."""
        ranker = self.model
        if self._sharpness is None:
            # Created at the first measurement, because finding the shared layers requires a batch.
            self._dense_variables = [v for v in ranker.trainable_variables if "embeddings" not in v.name]
            self._sharpness = SharpnessProbe(
                lambda rows: tf.add_n(list(ranker.task_losses(rows).values())), self._dense_variables, warm_start=True
            )
            shared = find_shared_variables(ranker, ranker.task_losses, batch)
            # A ranker with one task shares no layer between tasks.
            self._conflict = ConflictProbe(ranker.task_losses, shared, model_name=ranker.name) if shared else None
        sharpness = self._sharpness(
            batch,
            accumulators=find_adagrad_accumulators(ranker.optimizer, self._dense_variables),
            iterations=_ITERATIONS,
            tolerance=_TOLERANCE,
        )
        metrics = {"sharpness": sharpness.sharpness}
        if sharpness.preconditioned is not None:
            metrics["sharpness_preconditioned"] = sharpness.preconditioned
        if self._conflict is not None:
            conflict = self._conflict(batch)
            for i, task in enumerate(conflict.tasks):
                metrics[f"task_gradient/{task}"] = conflict.norms[task]
                metrics[f"task_share/{task}"] = conflict.shares[task]
                metrics[f"task_cosine/{task}"] = cosine_with_other_tasks(conflict, i)
        return metrics


def cosine_with_other_tasks(conflict: GradientConflict, i: int) -> float:
    """Computes the cosine between the gradient of task ``i`` and the sum of the other tasks' gradients.

    The cosine is ``<g_i, s> / (|g_i| |s|)``, where ``s`` is the sum of ``g_j`` over ``j != i``. It follows from norms
    and pairwise cosines. The result is NaN if ``g_i`` or ``s`` is 0.
    """
    norms = [conflict.norms[task] for task in conflict.tasks]
    others = [j for j in range(len(norms)) if j != i and norms[j] > 0]
    products = {(a, b): conflict.cosines[a, b] * norms[a] * norms[b] for a in (i, *others) for b in others}
    inner_product = sum(products[i, j] for j in others)
    norm_of_sum = sum(products[a, b] for a in others for b in others) ** 0.5 if others else 0.0
    return float(inner_product / (norms[i] * norm_of_sum)) if norms[i] * norm_of_sum > 0 else math.nan

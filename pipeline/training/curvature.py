"""Every so many steps: how steep the loss bends, and whether the tasks pull the shared layers apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from ..divergence import DivergenceMonitor
from ..divergence.sharpness import ConflictProbe, SharpnessProbe, find_adagrad_accumulators, find_shared_variables

# A warm start needs two or three; a cold one comes near, and goes on the next time.
_PRODUCTS = 4


class Curvature(tf_keras.callbacks.Callback):
    """Measures on one batch, the first rows of the day; the monitor publishes it.

    | key | what |
    |---|---|
    | ``sharpness`` | largest eigenvalue of the loss's Hessian, without embedding tables |
    | ``sharpness_preconditioned`` | the same as Adagrad sees it; training is stable up to 2 / learning_rate |
    | ``task_gradient/<task>`` | norm of the task's weighted gradient over the shared layers |
    | ``task_share/<task>`` | that over the sum of all tasks' |
    | ``task_cosine/<task>`` | cosine between it and the other tasks' together; below 0 they pull apart |

    Args:
      every: Steps between two measurements; 0 for none.
      monitor: Publishes, and knows the step.
    """

    def __init__(self, every: int, monitor: DivergenceMonitor):
        super().__init__()
        self._every = every
        self._monitor = monitor
        self._batch: Mapping[str, tf.Tensor] | None = None
        self._measured = 0
        self._sharpness: SharpnessProbe | None = None
        self._conflict: ConflictProbe | None = None

    def begin_day(self, batch: Mapping[str, tf.Tensor]) -> None:
        """From now on it is measured on this batch."""
        self._batch = batch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Measures when a multiple of ``every`` has been passed."""
        step = self._monitor.step
        if self._every and self._batch is not None and step // self._every > self._measured // self._every:
            self._measured = step
            self._monitor.add_metrics(self.measure(self._batch))

    def measure(self, batch: Mapping[str, tf.Tensor]) -> dict[str, float]:
        """The metrics above, on a batch."""
        ranker = self.model
        if self._sharpness is None or self._conflict is None:
            dense = [v for v in ranker.trainable_variables if "embeddings" not in v.name]
            self._sharpness = SharpnessProbe(
                lambda b: tf.add_n(list(ranker.task_losses(b).values())), dense, warm_start=True
            )
            shared = find_shared_variables(ranker, ranker.task_losses, batch)
            self._conflict = ConflictProbe(ranker.task_losses, shared, model_name=ranker.name)
            self._dense = dense
        sharpness = self._sharpness(
            batch,
            accumulators=find_adagrad_accumulators(ranker.optimizer, self._dense),
            iterations=_PRODUCTS,
            tolerance=0.05,
        )
        metrics = {"sharpness": sharpness.sharpness}
        if sharpness.preconditioned is not None:
            metrics["sharpness_preconditioned"] = sharpness.preconditioned
        told = self._conflict(batch)
        for i, task in enumerate(told.tasks):
            metrics[f"task_gradient/{task}"] = told.norms[task]
            metrics[f"task_share/{task}"] = told.shares[task]
            metrics[f"task_cosine/{task}"] = _with_others(told, i)
        return metrics


def _with_others(told: Any, i: int) -> float:
    """The cosine between a task's gradient and the sum of the others'."""
    norms = [told.norms[task] for task in told.tasks]
    others = [j for j in range(len(norms)) if j != i and norms[j] > 0]
    products = {(a, b): told.cosines[a, b] * norms[a] * norms[b] for a in (i, *others) for b in others}
    along = sum(products[i, j] for j in others)
    length = sum(products[a, b] for a in others for b in others) ** 0.5 if others else 0.0
    return float(along / (norms[i] * length)) if norms[i] * length > 0 else float("nan")

"""The processes of a distributed run, and the small ranker that they train.

test_distribution.py starts this file as a process; what a process found, it leaves in a pickle. A process ends when the pipe
to its standard input does, so that none outlives the tests.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import (
    AdaGC,
    Adagrad,
    AdaptiveGradientClipping,
    Clippy,
    ClippyAdagrad,
    GradientClipping,
    Lamb,
)

ROWS = 16
IDS = 30
# Wide enough for compiled programs.
WIDTH = 256

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


# The ranker: an embedding table and three dense layers. Some batches have large labels.


def ranker() -> tf_keras.Model:
    """A small ranker; the same weights every time, under any strategy."""
    ids = tf_keras.Input((2,), dtype=tf.int64)
    numbers = tf_keras.Input((8,))
    embedded = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(IDS, 4, name="table")(ids))
    hidden = tf_keras.layers.Concatenate()([embedded, numbers])
    for name in ("lower", "upper"):
        hidden = tf_keras.layers.Dense(WIDTH, "tanh", name=name)(hidden)
    model = tf_keras.Model([ids, numbers], tf_keras.layers.Dense(1, name="head")(hidden))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in (getattr(layer, name, None) for name in ("embeddings", "kernel", "bias")):
            if variable is not None:
                variable.assign(rng.normal(scale=0.1, size=variable.shape).astype(np.float32))
    return model


def batches(steps: int) -> list[Batch]:
    """Ids (some of them repeated), numbers and labels of each step; the labels of every other step are large."""
    rng = np.random.default_rng(1)
    return [
        (
            rng.integers(0, IDS // 2, (ROWS, 2)),
            rng.normal(size=(ROWS, 8)).astype(np.float32),
            (rng.normal(size=(ROWS, 1)) * (1 + 30 * (step % 2))).astype(np.float32),
        )
        for step in range(steps)
    ]


OPTIMIZERS: dict[str, Callable[[], Adagrad]] = {
    "clippy on all": lambda: ClippyAdagrad(0.2, export_clipping_factors=True, exclude_from_clipping=()),
    "groups": lambda: Adagrad(
        0.2,
        Clippy(),
        groups={
            "table": Clippy(granularity="row"),
            "head": None,
            "upper": AdaptiveGradientClipping(0.01, granularity="unit"),
        },
        explain=True,
    ),
    "gc over all variables": lambda: Adagrad(0.2, GradientClipping(0.5, granularity="global"), explain=True),
}


class Training:
    """Trains the ranker step by step; each replica takes an equal part of a batch."""

    def __init__(self, strategy: tf.distribute.Strategy, make: Callable[[], Adagrad]):
        self._strategy = strategy
        with strategy.scope():
            self._model, self._optimizer = ranker(), make()
        self._step = tf.function(lambda *batch: strategy.run(self._take_replica_step, args=batch), autograph=False)

    def run(self, steps: Iterable[Batch]) -> Training:
        """Takes one step for each batch."""
        for batch in steps:
            self._step(*(_distribute(self._strategy, column) for column in batch))
        return self

    def _take_replica_step(self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(labels - self._model([ids, numbers]))) / ROWS
        self._optimizer.minimize(loss, self._model.trainable_variables, tape=tape)

    def report_state(self) -> dict[str, Any]:
        """Weights, accumulators and reports so far."""
        return report_state(self._strategy, self._model, self._optimizer)


def _distribute(strategy: tf.distribute.Strategy, column: np.ndarray) -> Any:
    def share(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
        return tf.constant(column[context.replica_id_in_sync_group :: context.num_replicas_in_sync])

    return strategy.experimental_distribute_values_from_function(share)


def report_state(strategy: tf.distribute.Strategy, model: tf_keras.Model, optimizer: Adagrad) -> dict[str, Any]:
    """Weights, accumulators and reports at the end of a run, one copy for each local replica."""
    return {
        "weights": {v.name: _copies(strategy, v) for v in model.trainable_variables},
        "accumulators": [_copies(strategy, accumulator) for accumulator in optimizer._accumulators],
        "explanations": optimizer.read_explanations() if optimizer._settings.explain else {},
        "skipped": optimizer.skipped_steps,
        "nonfinite": optimizer.read_nonfinite_gradients(),
    }


def _copies(strategy: tf.distribute.Strategy, variable: Any) -> list[np.ndarray]:
    return [copy.numpy() for copy in strategy.experimental_local_results(variable)]


# One of two workers of MultiWorkerMirroredStrategy.


def with_nan(batch: Batch, row: int) -> Batch:
    """A batch with NaN in the numbers of one row."""
    ids, numbers, labels = batch
    return ids, np.where(np.arange(ROWS)[:, None] == row, np.float32("nan"), numbers), labels


def peer() -> dict[str, Any]:
    """Trains synchronously with the other workers in TF_CONFIG."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    good = batches(3)
    # Row 1 belongs to the second worker.
    bad = with_nan(good[2], row=1)
    found = {"good": Training(strategy, OPTIMIZERS["clippy on all"]).run(good).report_state()}
    training = Training(strategy, lambda: ClippyAdagrad(0.2, max_skipped_steps=1)).run([good[0], bad, good[1]])
    found["with_nan"] = training.report_state()
    try:
        training.run([bad, bad])
    except tf.errors.InvalidArgumentError as error:
        found["error"] = str(error)
    return found


# ParameterServerStrategy: servers, and the coordinator that schedules steps.


def serve() -> None:
    """Runs the worker or parameter server of TF_CONFIG."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(
        resolver.cluster_spec(), job_name=resolver.task_type, task_index=resolver.task_id, protocol="grpc"
    ).join()


SHARDED_RULES = {
    "clippy": Clippy(),
    "clippy by row": Clippy(granularity="row"),
    "gc": GradientClipping(0.5),
    "gc over all variables": GradientClipping(0.5, granularity="global"),
    "agc": AdaptiveGradientClipping(0.05),
    "lamb": Lamb(),
    "agc by unit": AdaptiveGradientClipping(0.05, granularity="unit"),
    "adagc": AdaGC(start=1),
}


def kernel_and_table() -> dict[str, np.ndarray]:
    """Initial weights of two variables that a strategy may cut into two shards."""
    rng = np.random.default_rng(2)
    return {
        "kernel": rng.normal(size=(6, 3)).astype(np.float32),
        "table": rng.normal(size=(10, 2)).astype(np.float32),
    }


def gradients(step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradient of the kernel, and rows and ids of that of the table; the large entries are in the second half of each."""
    rng = np.random.default_rng(3 + step)
    kernel = rng.normal(scale=1e-3, size=(6, 3)).astype(np.float32)
    kernel[4, 1] = 50.0
    rows = rng.normal(scale=1e-3, size=(3, 2)).astype(np.float32)
    rows[1, 0] = 50.0
    return kernel, rows, np.array([2, 9, 5])


def step_on_shards(
    optimizer: Adagrad, kernel: Any, table: Any, dense: np.ndarray, rows: np.ndarray, ids: np.ndarray
) -> None:
    """Applies gradients to variables in shards as a gradient tape does: one part for each shard."""
    pairs: list[tuple[Any, tf.Variable]] = []
    first = 0
    for shard in _shards(kernel):
        pairs.append((tf.constant(dense[first : first + shard.shape[0]]), shard))
        first += shard.shape[0]
    first = 0
    for shard in _shards(table):
        inside = (ids >= first) & (ids < first + shard.shape[0])
        pairs.append(
            (tf.IndexedSlices(tf.constant(rows[inside]), tf.constant(ids[inside] - first), shard.shape), shard)
        )
        first += shard.shape[0]
    optimizer.apply_gradients(pairs)


def _shards(variable: Any) -> list[tf.Variable]:
    return list(getattr(variable, "variables", None) or [variable])


def _whole(variables: Iterable[tf.Variable]) -> np.ndarray:
    return np.concatenate([variable.numpy() for variable in variables])


def take_steps(
    strategy: tf.distribute.Strategy, run: Callable[[Callable[[], Any]], None], rule: Any, steps: int, spoil: int = -1
) -> dict[str, Any]:
    """Takes steps over a kernel and a table; ``run`` executes a function here or on a worker.

    Args:
      strategy: In whose scope the variables are made.
      run: Carries a function out and waits for it.
      rule: The optimizer's rule.
      steps: How many.
      spoil: The step in which the gradient of the kernel's last row is NaN.
    """
    with strategy.scope():
        kernel, table = (tf.Variable(start, name=name) for name, start in kernel_and_table().items())
        optimizer = Adagrad(1.0, rule, explain=True)
        optimizer.build(_shards(kernel) + _shards(table))
    for number in range(steps):
        dense, rows, ids = gradients(number)
        if number == spoil:
            dense[-1] = np.nan
        step = functools.partial(step_on_shards, optimizer, kernel, table, dense, rows, ids)
        run(tf.function(lambda step=step: strategy.run(step), autograph=False))
    shards = [len(_shards(kernel)), len(_shards(table))]
    return {
        "shards": shards,
        "kernel": _whole(_shards(kernel)),
        "table": _whole(_shards(table)),
        "accumulators": [
            _whole(optimizer._accumulators[: shards[0]]),
            _whole(optimizer._accumulators[shards[0] :]),
        ],
        "explanations": optimizer.read_explanations(),
        "skipped": optimizer.skipped_steps,
        "nonfinite": optimizer.read_nonfinite_gradients(),
    }


def coordinate(cluster: Mapping[str, list[str]], folder: str) -> dict[str, Any]:
    """Lets the cluster take steps, fit the ranker, and save and restore it."""
    strategy = tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec(cluster), rpc_layer="grpc"),
        variable_partitioner=tf.distribute.experimental.partitioners.FixedShardsPartitioner(2),
    )
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

    def run(function: Callable[[], Any]) -> None:
        coordinator.schedule(function)
        coordinator.join()

    found: dict[str, Any] = {name: take_steps(strategy, run, rule, steps=2) for name, rule in SHARDED_RULES.items()}
    found["with_nan"] = take_steps(strategy, run, Clippy(), steps=3, spoil=1)
    found["skipped side by side"] = _skip_side_by_side(strategy, coordinator)
    found["fit"] = _fit_and_restore(strategy, folder)
    return found


def _skip_side_by_side(
    strategy: tf.distribute.Strategy, coordinator: tf.distribute.coordinator.ClusterCoordinator
) -> dict[str, int]:
    """Skips steps on both workers at the same time; returns how many there were and how many were counted."""
    with strategy.scope():
        w = tf.Variable(1.0)
        optimizer = ClippyAdagrad(0.1, max_skipped_steps=None)
        optimizer.build([w])
    bad = tf.function(lambda: strategy.run(lambda: optimizer.apply_gradients([(tf.constant(np.nan), w)])))
    for _ in range(100):
        coordinator.schedule(bad)
    coordinator.join()
    return {"steps": int(optimizer.iterations.numpy()), "counted": optimizer.skipped_steps}


def _fit_and_restore(strategy: tf.distribute.Strategy, folder: str) -> dict[str, Any]:
    def dataset(_: Any) -> tf.data.Dataset:
        [(ids, numbers, _)] = batches(1)
        labels = numbers.sum(axis=1, keepdims=True)
        return tf.data.Dataset.from_tensors(((ids, numbers), labels)).repeat()

    def fresh() -> tuple[tf_keras.Model, Adagrad]:
        with strategy.scope():
            model, optimizer = ranker(), ClippyAdagrad(0.03, export_clipping_factors=True)
            model.compile(optimizer, "mse")
        return model, optimizer

    model, optimizer = fresh()
    creator = tf_keras.utils.experimental.DatasetCreator(dataset)
    losses = model.fit(creator, steps_per_epoch=20, epochs=4, verbose=0).history["loss"]
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).write(os.path.join(folder, "checkpoint"))
    other, restored = fresh()
    with strategy.scope():
        restored.build(other.trainable_variables)
    tf.train.Checkpoint(model=other, optimizer=restored).read(path).assert_existing_objects_matched()
    ends = [
        {
            "weights": [v.numpy() for v in m.trainable_variables],
            "accumulators": [v.numpy() for v in o._accumulators],
            "explanations": o.read_explanations(reset=False),
            "iterations": int(o.iterations.numpy()),
        }
        for m, o in ((model, optimizer), (other, restored))
    ]
    return {"losses": losses, "saved": ends[0], "restored": ends[1], "path": path}


def main() -> None:
    """Runs one process, by its role."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["peer", "server", "coordinator"])
    parser.add_argument("--cluster", help="for the coordinator: addresses by job, as JSON")
    parser.add_argument("--folder", help="for the coordinator: folder of its checkpoints")
    parser.add_argument("--out", help="path of the results")
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    if arguments.role == "server":
        serve()
        return
    found = peer() if arguments.role == "peer" else coordinate(json.loads(arguments.cluster), arguments.folder)
    with open(arguments.out, "wb") as file:
        pickle.dump(found, file)
    # At a normal exit, the coordinator and the cluster would wait for each other.
    os._exit(0)


def _end_with_the_pipe() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()

"""The distribution strategy of a run, and the input that each of its workers reads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import tensorflow as tf

from ..config.errors import UserError
from ..config.settings import Training
from ..data.batching import WaitClock

_DEFAULT_CPU_REPLICAS = 2


def make_strategy(training: Training) -> tf.distribute.Strategy:
    """Makes the strategy of ``training.strategy``.

    ``one_device`` is TensorFlow's default strategy. ``mirrored`` uses the first ``training.replicas`` accelerators, or
    all of them if the setting is 0. On a machine without accelerators, ``mirrored`` splits the CPU into
    ``training.replicas`` logical devices, or into two if the setting is 0. TensorFlow can split the CPU only before its
    first use.

    Raises:
      UserError: If there are fewer devices than replicas.
    """
    if training.strategy == "one_device":
        return tf.distribute.get_strategy()
    accelerators = tf.config.list_physical_devices("GPU")
    replicas = training.replicas or len(accelerators) or _DEFAULT_CPU_REPLICAS
    if not accelerators:
        _split_cpu(replicas)
    devices = tf.config.list_logical_devices("GPU" if accelerators else "CPU")
    if len(devices) < replicas:
        raise UserError(
            f"training.replicas must be at most {len(devices)}, the number of devices, got {replicas}; set it to 0 to use all"
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]])


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Checks that the replicas can share a batch evenly.

    Raises:
      UserError: If the batch size is not a multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(f"data.batch_size must be a multiple of the {replicas} replicas, got {batch_size}")


def distribute_batches(
    strategy: tf.distribute.Strategy, batches: Callable[..., tf.data.Dataset], clock: WaitClock | None = None
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Makes the dataset that Keras's ``fit`` and ``evaluate`` read under a strategy.

    Args:
      strategy: The model's strategy.
      batches: Called with ``replicas``, ``worker`` and ``workers``; returns the dataset of ``worker``. Each element is
        one replica's part of a batch, in the order of the replicas; see :class:`..data.batching.windows.BatchOrder`.
      clock: Measures how long training waits for each element.
    """

    def make_worker_dataset(replicas: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        dataset = batches(replicas=replicas, worker=worker, workers=workers)
        return clock.watch(dataset) if clock else dataset

    if strategy is tf.distribute.get_strategy():
        return make_worker_dataset(1)
    # Keras lets the strategy rebatch a plain dataset. The strategy then searches the pipeline for its last batching
    # operation and fails, because these batches are slices of blocks.
    return strategy.distribute_datasets_from_function(
        lambda context: make_worker_dataset(
            context.num_replicas_in_sync, context.input_pipeline_id, context.num_input_pipelines
        )
    )


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        # TensorFlow raises an error if it has already started. The caller then finds too few devices and reports that.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)

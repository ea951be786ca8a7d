"""The distribution strategy of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import tensorflow as tf

from ..config.errors import UserError
from ..config.settings import Training
from ..data.batching import WaitClock


def make_strategy(training: Training) -> tf.distribute.Strategy:
    """The strategy that the configuration names.

    ``mirrored`` uses the accelerators that there are, or the first ``replicas`` of them. On a machine without any, the
    CPU is split into that many logical devices (2 when the configuration leaves it open), which must happen before
    TensorFlow has used it.

    Raises:
      UserError: When there are fewer devices than replicas were asked for.
    """
    if training.strategy == "one_device":
        return tf.distribute.get_strategy()
    accelerators = tf.config.list_physical_devices("GPU")
    wanted = training.replicas or len(accelerators) or 2
    if not accelerators:
        _split_cpu(wanted)
    devices = tf.config.list_logical_devices("GPU" if accelerators else "CPU")
    if len(devices) < wanted:
        raise UserError(
            f"training.replicas = {wanted} needs as many devices, found {len(devices)}; lower it, or set it to 0 to use all"
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices[:wanted]])


def check_divides(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Refuses a batch that the replicas cannot share evenly.

    Raises:
      UserError: When the batch size is no multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(f"data.batch_size must be a multiple of the {replicas} replicas, got {batch_size}")


def distribute_batches(
    strategy: tf.distribute.Strategy, batches: Callable[..., tf.data.Dataset], clock: WaitClock | None = None
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """What Keras's ``fit`` and ``evaluate`` read under ``strategy``.

    Args:
      strategy: The strategy of the model.
      batches: Called with ``replicas``, ``worker`` and ``workers``; returns what this worker reads, a dataset in which its
        replicas' parts of a batch follow one another; see :class:`..data.batching.windows.BatchOrder`.
      clock: Watches it.
    """

    def parts(replicas: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        dataset = batches(replicas=replicas, worker=worker, workers=workers)
        return clock.watch(dataset) if clock else dataset

    if strategy is tf.distribute.get_strategy():
        return parts(1)
    # Handed a dataset, Keras would let the strategy rewrite it to smaller batches, which it does by guessing at the
    # pipeline's last operations and gets wrong for batches cut from blocks.
    return strategy.distribute_datasets_from_function(
        lambda context: parts(context.num_replicas_in_sync, context.input_pipeline_id, context.num_input_pipelines)
    )


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        # Once TensorFlow has started it is too late; the caller counts the devices and says what is missing.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)

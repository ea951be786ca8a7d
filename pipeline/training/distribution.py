"""The distribution strategy of a run."""

from __future__ import annotations

import tensorflow as tf

from ..config.errors import UserError
from ..config.settings import Training


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
    accelerators = tf.config.list_logical_devices("GPU")
    devices = accelerators or _logical_cpus(training.replicas or 2)
    wanted = training.replicas or len(devices)
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


def _logical_cpus(count: int) -> list[tf.config.LogicalDevice]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        # Too late once TensorFlow has started: then there is one device, and the caller says what is missing.
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        except RuntimeError:
            return tf.config.list_logical_devices("CPU")
    return tf.config.list_logical_devices("CPU")

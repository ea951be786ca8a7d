from __future__ import annotations

import dataclasses

import pytest
import tensorflow as tf

from steadyrank.pipeline.config import Config, UserError
from steadyrank.pipeline.data.batching import WaitClock
from steadyrank.pipeline.training.distribution import check_batch_size, distribute_batches, make_strategy


def test_one_device_is_the_default_strategy():
    assert make_strategy(Config().training) is tf.distribute.get_strategy()


def test_more_replicas_than_devices_are_refused():
    tf.constant(0)
    tf.config.list_logical_devices()
    settings = dataclasses.replace(Config().training, strategy="mirrored", replicas=64)
    with pytest.raises(UserError, match=r"training.replicas must be at most \d+, the number of devices, got 64"):
        make_strategy(settings)


def test_one_device_accepts_any_batch_size():
    check_batch_size(7, tf.distribute.get_strategy())


def test_one_device_reads_the_dataset_of_a_single_worker():
    def make_batches(replicas: int, worker: int, workers: int) -> tf.data.Dataset:
        assert (replicas, worker, workers) == (1, 0, 1)
        return tf.data.Dataset.range(3)

    dataset = distribute_batches(tf.distribute.get_strategy(), make_batches, WaitClock())
    assert [int(element) for element in dataset] == [0, 1, 2]

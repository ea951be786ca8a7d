"""What all tests share: TensorFlow made quiet and given two devices, real data where it lies, and strategies."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Must stand before TensorFlow's Keras is first used, and which test comes first is not known here.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import pytest
import tensorflow as tf

# Two logical devices stand for two accelerators; it must happen before TensorFlow runs anything.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """MirroredStrategy over two logical devices."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def movielens_dir() -> Path:
    """Folder in which TFDS finds the real MovieLens 100K."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "tfds"
    folder = Path(os.environ.get("STEADYRANK_TFDS_DIR", beside))
    if not (folder / "movielens").is_dir():
        pytest.skip(f"real MovieLens 100K is not at {folder}; set STEADYRANK_TFDS_DIR to a TFDS folder that holds it")
    return folder

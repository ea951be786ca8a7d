"""Set-up and fixtures of all tests: quiet TensorFlow with two devices, real data if present, and strategies."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Set before TensorFlow's Keras is first used, because any test may run first.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import pytest
import tensorflow as tf

# Two logical devices represent two accelerators. They must be configured before TensorFlow's first operation.
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

"""Reads and compares what runs leave in their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from steadyrank.pipeline.reporting import read_lines

_TIME_KEYS = ("examples_per_second", "input_wait_fraction")


def read_weights(model_dir: Path) -> dict[str, np.ndarray]:
    """Returns every variable in the newest checkpoint."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(model_dir / "checkpoints")))
    names = [
        name for name in reader.get_variable_to_shape_map() if not name.startswith(("_CHECKPOINTABLE", "save_counter"))
    ]
    return {name: reader.get_tensor(name) for name in names}


def assert_bitwise_equal(one: Path, other: Path) -> None:
    """Asserts that the newest checkpoints of two runs are equal, bit by bit."""
    a, b = read_weights(one), read_weights(other)
    assert a.keys() == b.keys()
    assert len(a) > 50
    different = [name for name in a if not np.array_equal(a[name], b[name])]
    assert not different


def read_repeatable_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a metrics file without the keys that depend on the machine's speed."""
    return [{k: v for k, v in line.items() if k not in _TIME_KEYS} for line in read_lines(path)]

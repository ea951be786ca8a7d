"""The number of rows of any batch, and short last batches in real fits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.divergence.probes.batch_rows import count_rows


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        (tf.zeros([3, 2]), 3),
        (({"b": tf.zeros([4])}, tf.zeros([4])), 4),
        (tf.ragged.constant([[1], [2, 3], []]), 3),
        (tf.sparse.from_dense([[0.0, 1.0], [1.0, 0.0]]), 2),
        ((), None),
        (tf.constant(1.0), None),
    ],
)
def test_counts_the_rows_of_the_first_tensor(batch, rows):
    counted = count_rows(batch)
    assert (counted if counted is None else int(counted)) == rows


@pytest.mark.parametrize("rows_of_last_batch", [1, 3])
def test_a_short_last_batch_is_no_spike_and_no_shift(rows_of_last_batch):
    tf_keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64 * 18 + rows_of_last_batch, 4)).astype(np.float32)
    # The last rows are the rarest.
    x[-rows_of_last_batch:] = 4.0
    y = (x[:, :1] + rng.standard_t(3, size=(len(x), 1))).astype(np.float32)
    y[-rows_of_last_batch:] = 9.0
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("adam", "mse")
    monitor = DivergenceMonitor()
    model.fit(x, y, 64, epochs=12, shuffle=False, verbose=0, callbacks=[monitor])
    assert monitor.events == []

"""Copies of healthy weights, in Keras 2 and Keras 3."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.divergence.recovery import MemorySnapshots


@pytest.fixture
def model(keras_version):
    library, _ = keras_version
    model = library.Sequential([library.layers.Dense(1)])
    model.compile(library.optimizers.Adagrad(0.1), "mse")
    model.build((None, 2))
    model.optimizer.build(model.trainable_variables)
    return model


def set_weights(model, value: float) -> None:
    model.set_weights([np.full_like(weights, value) for weights in model.get_weights()])


def save_each(model, snapshots: MemorySnapshots, *steps: int) -> None:
    """Sets all weights to the step, and lets the snapshots save them."""
    for step in steps:
        set_weights(model, step)
        snapshots.save_if_due(step, is_healthy=True)


def test_the_newest_snapshot_before_a_step_is_restored(model):
    snapshots = MemorySnapshots(model, every=10)
    save_each(model, snapshots, 10, 20, 30)
    assert snapshots.restore(before=30) == 20
    assert model.get_weights()[0][0, 0] == 20
    # Later ones are dropped.
    assert snapshots.restore(before=99) == 20


def test_only_the_newest_snapshots_are_kept(model):
    snapshots = MemorySnapshots(model, every=10, count=2)
    save_each(model, snapshots, 10, 20, 30)
    assert snapshots.restore(before=20) is None


def test_snapshots_are_apart_and_healthy(model):
    snapshots = MemorySnapshots(model, every=10)
    save_each(model, snapshots, 10, 15)
    set_weights(model, 20)
    snapshots.save_if_due(20, is_healthy=False)
    assert snapshots.restore(before=99) == 10


def test_the_step_counter_and_the_learning_rate_are_not_restored(model):
    snapshots = MemorySnapshots(model)
    snapshots.save_if_due(0, is_healthy=True)
    model.optimizer.learning_rate.assign(0.025)
    model.optimizer.iterations.assign(7)
    snapshots.restore(before=1)
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.025)
    assert int(model.optimizer.iterations) == 7

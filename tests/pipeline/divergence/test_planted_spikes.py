"""Plants one bad step between checks, at a random step and in a random task. The monitor must report each one."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.optimizers import ClippyAdagrad
from steadyrank.pipeline.divergence import DivergenceMonitor

EVERY, CHECKS, CALM_CHECKS, ROWS = 40, 36, 6, 128
TASKS = (Task("click", "binary"), Task("like", "binary"), Task("minutes", "regression", weight=0.2))


def make_log(rng: np.random.Generator):
    """Makes a log in which each check, except for the first ones, covers one batch with wrong labels in one task."""
    rows = EVERY * CHECKS * ROWS
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    columns = {
        "x": x,
        "click": (x[:, 0] + rng.normal(size=rows) > 1).astype(np.float32),
        "like": (x[:, 1] + rng.normal(size=rows) > 1.5).astype(np.float32),
        "minutes": (2.0 + x[:, 2] + rng.normal(size=rows)).astype(np.float32),
    }
    planted = []
    for check in range(CALM_CHECKS, CHECKS):
        step = check * EVERY + int(rng.integers(1, EVERY + 1))
        task = TASKS[rng.integers(len(TASKS))]
        batch = slice((step - 1) * ROWS, step * ROWS)
        columns[task.name][batch] = 1 - columns[task.name][batch] if task.kind == "binary" else -12.0 - x[batch, 2]
        planted.append((step, task.name))
    return columns, planted


@pytest.mark.parametrize(("seed", "steps_per_execution"), [(0, 1), (1, 40), (2, 8)])
def test_every_planted_spike_is_reported_and_nothing_else(seed, steps_per_execution):
    columns, planted = make_log(np.random.default_rng(seed))
    tf_keras.utils.set_random_seed(seed)
    schema = Schema(features=(Feature("x", "numerical", width=4, normalization="none"),), tasks=TASKS)
    ranker = MultitaskRanker(schema, shared_units=(16,), tower_units=())
    ranker.compile(optimizer=ClippyAdagrad(0.05), steps_per_execution=steps_per_execution)
    monitor = DivergenceMonitor(every=EVERY)
    ranker.fit(columns, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[monitor])
    reported = [(event.step, event.task) for event in monitor.events if event.kind == "spike"]
    assert [spike for spike in reported if spike not in planted] == []
    assert [spike for spike in planted if spike not in reported] == []
    assert monitor.verdict == "healthy"

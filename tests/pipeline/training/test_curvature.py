from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.pipeline.divergence.sharpness import ConflictProbe
from steadyrank.pipeline.training.curvature import cosine_with_other_tasks
from tests.pipeline.training.small_runs import SmallRun, make_config


def measure_conflict(gradients: dict[str, list[float]]):
    """Returns the conflict between tasks whose losses have these gradients."""
    w = tf.Variable([1.0] * 3, name="w")
    return ConflictProbe(lambda: {task: tf.reduce_sum(g * w) for task, g in gradients.items()}, [w])()


def test_the_cosine_compares_a_task_with_the_sum_of_the_others():
    gradients = {"a": [1.0, 2.0, 0.0], "b": [0.5, -1.0, 3.0], "c": [-2.0, 0.0, 1.0]}
    conflict = measure_conflict(gradients)
    a, others = np.array(gradients["a"]), np.array(gradients["b"]) + np.array(gradients["c"])
    expected = a @ others / (np.linalg.norm(a) * np.linalg.norm(others))
    assert cosine_with_other_tasks(conflict, 0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gradients", [{"a": [1.0, 0.0, 0.0]}, {"a": [0.0] * 3, "b": [1.0, 0.0, 0.0]}])
def test_the_cosine_is_nan_without_another_task_or_without_a_gradient(gradients):
    assert math.isnan(cosine_with_other_tasks(measure_conflict(gradients), 0))


def test_measures_when_a_multiple_of_every_is_reached(tmp_path):
    run = SmallRun(tmp_path, make_config(sharpness_every_steps=6, sharpness_rows=8))
    run.train()
    assert [line["step"] for line in run.publications.lines if "sharpness" in line] == [6, 14]


def test_a_ranker_with_one_task_has_no_conflict(tmp_path):
    run = SmallRun(tmp_path, make_config(sharpness_every_steps=6, sharpness_rows=8))
    run.train()
    line = next(line for line in run.publications.lines if "sharpness" in line)
    assert line["sharpness"] > 0
    assert not any(key.startswith("task_") for key in line)


def test_measures_nothing_if_every_is_0(tmp_path):
    run = SmallRun(tmp_path, make_config(sharpness_every_steps=0))
    run.train()
    assert not any("sharpness" in line for line in run.publications.lines)

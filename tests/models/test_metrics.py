"""The metrics of one task."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.models import Task
from steadyrank.models.metrics import TaskMetrics, histogram_auc


def pairwise_auc(labels, scores):
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    return wins.mean()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 0.9), center=st.floats(-6, 3), spread=st.floats(0.3, 3))
def test_auc_equals_the_share_of_correctly_ranked_pairs(seed, share, center, spread):
    rng = np.random.default_rng(seed)
    labels = (rng.random(600) < share).astype(np.float32)
    labels[:2] = 0, 1
    logits = (rng.normal(size=600) * spread + center + labels).astype(np.float32)
    metrics = TaskMetrics(Task("t", "binary"))
    metrics.update_state(labels, logits)
    assert abs(float(metrics.result()["auc/t"]) - pairwise_auc(labels, logits)) < 5e-3


def test_auc_of_many_rows_is_exact_to_four_digits():
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.05).astype(np.float32)
    logits = (rng.normal(size=20_000) - 3 + labels).astype(np.float32)
    metrics = TaskMetrics(Task("t", "binary"))
    metrics.update_state(labels, logits)
    assert abs(float(metrics.result()["auc/t"]) - pairwise_auc(labels, logits)) < 1e-4


def test_auc_equals_a_hand_computed_value():
    # One negative below, one in the same bucket, one above a positive: (1 + 1/2 + 0) / 3.
    assert float(histogram_auc(tf.constant([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]]))) == 0.5


def test_masked_rows_change_no_metric():
    task = Task("t", "regression")
    whole, masked = TaskMetrics(task), TaskMetrics(task)
    whole.update_state([1.0, 3.0], [2.0, 2.0])
    masked.update_state([1.0, 3.0, 0.0], [2.0, 2.0, np.nan], sample_weight=[1.0, 1.0, 0.0])
    for metrics in (whole, masked):
        metrics.add_loss_sum(2.0)
        result = {key: float(value) for key, value in metrics.result().items()}
        assert result == {
            "loss/t": 1.0,
            "prediction_mean/t": 2.0,
            "label_mean/t": 2.0,
            "examples/t": 2.0,
            "rmse/t": 1.0,
            "rmse_of_mean/t": 1.0,
        }


def test_sums_over_any_number_of_rows_are_exact():
    metrics = TaskMetrics(Task("t", "binary"))
    metrics.add_loss_sum(float(2**40))
    for _ in range(10):
        metrics.add_loss_sum(1.0)
    metrics.update_state([1.0], [0.0])
    # float32 would have lost the ones.
    assert float(metrics.result()["loss/t"]) == 2**40 + 10


def test_a_diverged_model_has_the_auc_of_chance_and_a_nan_loss():
    metrics = TaskMetrics(Task("t", "binary"))
    metrics.update_state([0.0, 1.0], [np.nan, np.nan])
    metrics.add_loss_sum(np.nan)
    assert float(metrics.result()["auc/t"]) == 0.5
    assert np.isnan(float(metrics.result()["loss/t"]))
    # The rows and the labels are known nevertheless, so the loss is not mistaken for that of a task without labels.
    assert float(metrics.result()["examples/t"]) == 2
    assert float(metrics.result()["label_mean/t"]) == 0.5


def test_reset_clears_all_sums():
    metrics = TaskMetrics(Task("t", "binary"))
    metrics.update_state([1.0, 0.0], [1.0, 0.0])
    metrics.reset_state()
    assert float(metrics.result()["examples/t"]) == 0
    assert np.isnan(float(metrics.result()["auc/t"]))

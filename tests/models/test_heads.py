"""The towers: predictions, losses and sums over the rows that have a label."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.models import Task
from steadyrank.models.heads import Head

BINARY, REGRESSION = Task("click", "binary"), Task("minutes", "regression")
NAN = float("nan")


def test_a_binary_task_predicts_probabilities_and_a_regression_task_values():
    output = tf.constant([[0.0], [2.0]])
    np.testing.assert_allclose(Head(BINARY).convert_to_prediction(output), [0.5, 1 / (1 + np.exp(-2))], rtol=1e-6)
    np.testing.assert_allclose(Head(REGRESSION).convert_to_prediction(output), [0.0, 2.0])


@pytest.mark.parametrize(
    ("task", "label_mean", "prediction"),
    [(BINARY, 0.2, 0.2), (BINARY, None, 0.5), (BINARY, 0.0, 1e-4), (REGRESSION, 3.0, 3.0), (REGRESSION, None, 0.0)],
)
def test_the_first_prediction_is_the_best_constant(task, label_mean, prediction):
    head = Head(task, label_mean=label_mean)
    np.testing.assert_allclose(head.convert_to_prediction(head(tf.zeros([1, 4]))), [prediction], rtol=1e-4)


def test_the_sums_leave_out_rows_without_a_label():
    sums = Head(REGRESSION).update_metrics(
        {"minutes": tf.constant([1.0, NAN, 4.0])}, tf.constant([[2.0], [NAN], [2.0]])
    )
    assert [float(value) for value in sums] == [1.0 + 4.0, 2.0, 2.0, 4.0, 5.0, 17.0]


def test_the_mean_loss_is_0_without_labels_and_updates_no_metric():
    head = Head(BINARY)
    assert float(head.mean_loss({"click": tf.constant([NAN, NAN])}, tf.constant([[1.0], [2.0]]))) == 0
    assert float(head.mean_loss({"click": tf.constant([1.0, NAN])}, tf.constant([[0.0], [2.0]]))) == pytest.approx(
        np.log(2)
    )
    assert float(head.task_metrics.result()["examples/click"]) == 0


def test_a_missing_label_gives_no_gradient_even_if_the_output_is_nan():
    output = tf.Variable([[1.0], [NAN]])
    with tf.GradientTape() as tape:
        loss = Head(REGRESSION).update_metrics({"minutes": tf.constant([0.0, NAN])}, output).loss
    np.testing.assert_array_equal(tape.gradient(loss, output), [[2.0], [0.0]])


def test_the_histogram_counts_labeled_rows_by_class():
    histogram = Head(BINARY).count_logits(
        {"click": tf.constant([1.0, 0.0, 0.0, NAN])}, tf.constant([[0.0], [0.0], [9.0], [0.0]])
    )
    np.testing.assert_array_equal(tf.reduce_sum(histogram, axis=0), [2.0, 1.0])


def test_the_sums_multiply_each_row_by_its_weight_and_leave_out_weights_of_0_and_without_a_number():
    head = Head(Task("minutes", "regression", example_weight="w"))
    columns = {"minutes.label": tf.constant([1.0, NAN, 4.0, 7.0, 8.0]), "w": tf.constant([3.0, 5.0, 0.5, 0.0, NAN])}
    output = tf.Variable([[2.0], [NAN], [2.0], [NAN], [9.0]])
    with tf.GradientTape() as tape:
        sums = head.update_metrics(columns, output)
    assert sums._asdict() == {
        "loss": 3 * 1 + 0.5 * 4,
        "examples": 2,
        "weight": 3.5,
        "prediction": 3 * 2 + 0.5 * 2,
        "label": 3 * 1 + 0.5 * 4,
        "label_squared": 3 * 1 + 0.5 * 16,
    }
    np.testing.assert_array_equal(tape.gradient(sums.loss, output)[:, 0], [3 * 2 * 1, 0, 0.5 * 2 * -2, 0, 0])
    assert float(head.mean_loss(columns, output)) == np.float32(5 / 3.5)
    metrics = {key: float(value) for key, value in head.task_metrics.result().items()}
    label_mean, label_squared = 5 / 3.5, 11 / 3.5
    assert metrics == pytest.approx(
        {
            "loss/minutes": 5 / 3.5,
            "prediction_mean/minutes": 2,
            "label_mean/minutes": label_mean,
            "examples/minutes": 2,
            "rmse/minutes": np.sqrt(5 / 3.5),
            "rmse_of_mean/minutes": np.sqrt(label_squared - label_mean**2),
        }
    )

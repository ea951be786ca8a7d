"""The measures of a compiled model's outputs, compared with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.divergence.probes.output_measures import compute_batch_auc, make_signals, measure_outputs


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40))
def test_auc_is_the_share_of_pairs_that_are_ranked_correctly(rows):
    labels, scores = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    positives, negatives = scores[labels == 1][:, None], scores[labels == 0]
    has_both = positives.size and negatives.size
    expected = (positives > negatives).mean() + (positives == negatives).mean() / 2 if has_both else 0.5
    assert float(compute_batch_auc(tf.constant(labels), tf.constant(scores))) == pytest.approx(expected, abs=1e-6)


def measure(loss, y, p) -> dict[str, float]:
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("sgd", loss)
    measures = measure_outputs(model, tf.constant(y, tf.float32), tf.constant(p, tf.float32))
    return {name: float(value) for name, value in measures.items()}


Y, P = np.array([0, 1, 0, 1]), np.array([0.2, 0.6, 0.4, 0.3])


@pytest.mark.parametrize("is_logits", [False, True])
def test_a_binary_task_equals_numpy(is_logits):
    scores = np.log(P / (1 - P)) if is_logits else P
    measures = measure(tf_keras.losses.BinaryCrossentropy(from_logits=is_logits), Y, scores)
    cross_entropy = -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).mean()
    assert measures["loss"] == pytest.approx(cross_entropy, rel=1e-5)
    assert measures["normalized_loss"] == pytest.approx(cross_entropy / np.log(2), rel=1e-5)
    assert measures["calibration"] == pytest.approx(P.mean() / Y.mean(), rel=1e-5)
    assert (measures["auc"], measures["examples"]) == (0.75, 4.0)


def test_a_regression_equals_numpy():
    measures = measure("mse", Y * 3.0, P)
    assert measures["loss"] == pytest.approx(((Y * 3.0 - P) ** 2).mean(), rel=1e-5)
    assert measures["normalized_loss"] == pytest.approx(measures["loss"] / (Y * 3.0).var(), rel=1e-5)
    assert "auc" not in measures


def test_other_losses_are_not_measured():
    assert measure(tf_keras.losses.Huber(), Y, P) == {}


def test_labels_of_another_structure_are_not_measured():
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert measure_outputs(model, {"a": tf.ones([2])}, tf.ones([2])) == {}


def test_the_normalized_loss_needs_32_labeled_rows():
    measures = {"loss/a": tf.constant(1.0), "normalized_loss/a": tf.constant(1.0), "examples/a": tf.constant(31.0)}
    signals = {signal.name: signal for signal in make_signals(measures, loss_ratio=2.0)}
    present = {name: bool(signal.is_present) for name, signal in signals.items()}
    assert present == {
        "loss/a": True,
        "normalized_loss/a": False,
        "prediction_loss/a": False,
        "constant_loss/a": False,
    }
    assert signals["normalized_loss/a"].limit == 2.0


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse"])
@pytest.mark.parametrize("weights", [None, [[1.0], [0.0]]])
def test_a_batch_without_positives_measures_only_finite_numbers(loss, weights):
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("sgd", loss)

    @tf.function
    def step(y, p, sample_weight):
        signals = make_signals(measure_outputs(model, y, p, sample_weight), loss_ratio=2.0)
        return {signal.name: (signal.value, signal.is_present) for signal in signals}

    tf.debugging.enable_check_numerics()
    try:
        y, p = tf.zeros([2, 1]), tf.constant([[0.25], [0.75]])
        signals = step(y, p, None if weights is None else tf.constant(weights))
    finally:
        tf.debugging.disable_check_numerics()
    assert not bool(signals["calibration"][1])
    assert bool(signals["loss"][1])
    # Half a positive row and half a negative row are added to the rows.
    share, expected = 0.5 / 3, 0.5 * (-np.log(0.75) - np.log(0.25))
    if weights is not None:
        share, expected = 0.5 / 2, -np.log(0.75)
    if loss == "mse":
        assert float(signals["normalized_loss"][0]) == 0.0
    else:
        assert float(signals["normalized_loss"][0]) == pytest.approx(expected / -np.log(1 - share), rel=1e-5)

"""The mean of a layer's output, in a graph, where sums and products are measured by their operands."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence.probes.layer_measures import measure_layer_output, measure_mean

RANDOM = np.random.default_rng(0)
A, B, C = (RANDOM.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3, 4), (4,)))
BATCH = RANDOM.normal(size=(2, 5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("compute", "operands", "expected"),
    [
        (lambda a, b: a @ b, (A, B), A @ B),
        (lambda a, b, c: tf.nn.bias_add(a @ b, c), (A, B, C), A @ B + C),
        (lambda a, b: tf.matmul(a, b, transpose_a=True, transpose_b=True), (A.T, B.T), A @ B),
        (lambda a, b: tf.matmul(a, b), (BATCH, B), BATCH @ B),
        (lambda a, b: tf.matmul(a, b, transpose_b=True), (BATCH, BATCH), BATCH @ BATCH.transpose(0, 2, 1)),
        (lambda a, b, c: tf.tensordot(a, b, 1) + c, (BATCH, B, C), BATCH @ B + C),
        (lambda a, b: a @ b, (A[:0], B), np.zeros(1)),
        (lambda a, c: tf.add_n([a + c, a]), (A, C[:3]), 2 * A + C[:3]),
    ],
)
def test_the_mean_of_sums_and_products_equals_numpy(compute, operands, expected):
    signature = [tf.TensorSpec([None, *operands[0].shape[1:]])] + [tf.TensorSpec(each.shape) for each in operands[1:]]

    @tf.function(input_signature=signature, autograph=False)
    def measure(*tensors):
        return measure_mean(compute(*tensors))

    assert float(measure(*operands)) == pytest.approx(expected.mean(), abs=1e-6)
    if operands[0].size:
        broken = [np.where(np.arange(each.size).reshape(each.shape) == 1, np.nan, each) for each in operands]
        assert np.isnan(float(measure(*broken)))


def test_a_convolution_is_measured_if_nothing_is_fused_with_its_result():
    def list_measures(**arguments):
        layer = tf_keras.layers.Conv2D(2, 3, **arguments)
        measures = {}
        tf.function(lambda x: measures.update(measure_layer_output(layer, "conv", layer(x)))).get_concrete_function(
            tf.TensorSpec([None, 4, 4, 1])
        )
        return sorted(measures)

    assert list_measures(activation="relu") == ["activation/conv", "dead_units/conv"]
    assert list_measures(activation="tanh") == list_measures(use_bias=False) == ["activation/conv"]
    assert list_measures() == []

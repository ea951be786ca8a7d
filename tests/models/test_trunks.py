"""The shared layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.models.trunks import CrossNetwork, SharedBottom, make_regularizer


def test_a_shared_bottom_without_layers_returns_its_input():
    x = tf.constant([[1.0, -2.0]])
    np.testing.assert_array_equal(SharedBottom(())(x), x)


def test_the_layers_of_a_shared_bottom_are_named_from_input_to_output():
    shared = SharedBottom((3, 2))
    assert shared(tf.ones([5, 4])).shape == (5, 2)
    kernels = [(v.name, tuple(v.shape)) for v in shared.trainable_variables if "kernel" in v.name]
    assert kernels == [("shared/layer_0/kernel:0", (4, 3)), ("shared/layer_1/kernel:0", (3, 2))]


def test_a_cross_layer_equals_its_formula():
    network = CrossNetwork(layers=2, layer_norm=False)
    x0 = np.array([[1.0, 2.0], [-3.0, 0.5]], np.float32)
    crossed = network(tf.constant(x0)).numpy()
    x = x0
    for kernel, bias in zip(network.trainable_variables[::2], network.trainable_variables[1::2], strict=True):
        x = x0 * (x @ kernel.numpy() + bias.numpy()) + x
    np.testing.assert_allclose(crossed, x, rtol=1e-5)


def test_layer_normalization_bounds_the_effect_of_an_unusual_input():
    x = tf.constant([[1.0, 2.0, 3.0]])
    normalized, plain = CrossNetwork(2), CrossNetwork(2, layer_norm=False)
    # Epsilon in the normalization's denominator matters less for larger inputs.
    np.testing.assert_allclose(normalized(1e6 * x), normalized(x), rtol=0.02)
    assert np.abs(plain(1e6 * x)).max() > 1e6


def test_no_regularizer_is_made_for_0():
    assert make_regularizer(0.0) is None
    assert float(make_regularizer(0.5)(tf.constant([1.0, 2.0]))) == pytest.approx(2.5)

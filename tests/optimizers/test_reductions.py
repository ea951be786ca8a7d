"""Reductions: blocks merged, axes reduced and shards joined give what NumPy gives over all coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.optimizers.reductions import Max, MaxOfRoots, Mean, Sum
from steadyrank.optimizers.tensorflow_ops import Ops

X = np.abs(np.random.default_rng(0).normal(size=(6, 4))).astype(np.float32)
EXPECTED = {Sum: np.sum, Mean: np.mean, Max: np.max, MaxOfRoots: lambda x, **axes: np.sqrt(np.max(x, **axes))}


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("axis", [None, (1,), (0,)])
def test_a_reduction_over_axes_keeps_them(kind, axis):
    value = kind(tf.constant(X)).reduce(Ops, axis).value(Ops)
    np.testing.assert_allclose(value, EXPECTED[kind](X, axis=axis, keepdims=axis is not None), rtol=1e-6)


@pytest.mark.parametrize("kind", EXPECTED)
def test_merged_blocks_reduce_to_the_whole(kind):
    merged = kind(tf.constant(X[:2])).merge(Ops, kind(tf.constant(X[2:4]))).merge(Ops, kind(tf.constant(X[4:])))
    np.testing.assert_allclose(merged.reduce(Ops, None).value(Ops), EXPECTED[kind](X), rtol=1e-6)


@pytest.mark.parametrize("kind", [Sum, Mean, Max])
def test_joined_shards_of_different_sizes_reduce_to_the_whole(kind):
    shards = [kind(tf.constant(part)).reduce(Ops, None) for part in (X[:1], X[1:3], X[3:])]
    np.testing.assert_allclose(kind.join(Ops, shards).value(Ops), EXPECTED[kind](X), rtol=1e-6)


@pytest.mark.parametrize("kind", EXPECTED)
def test_without_coordinates_the_value_is_0(kind):
    assert kind(tf.zeros((0, 3))).reduce(Ops, None).value(Ops) == 0

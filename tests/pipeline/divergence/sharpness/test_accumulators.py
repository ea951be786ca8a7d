"""Adagrad's accumulators in the optimizers of Keras 2, Keras 3 and this project."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
import tf_keras

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as optimizers3
from steadyrank.pipeline.divergence.sharpness import find_adagrad_accumulators


@pytest.mark.parametrize(
    ("library", "make"),
    [
        (tf_keras, tf_keras.optimizers.Adagrad),
        (tf_keras, optimizers.Adagrad),
        (tf_keras, optimizers.ClippyAdagrad),
        (tf_keras, lambda: tf_keras.mixed_precision.LossScaleOptimizer(optimizers.Adagrad())),
        (keras, keras.optimizers.Adagrad),
        (keras, optimizers3.Adagrad),
        (keras, lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adagrad())),
    ],
)
def test_accumulators_are_found_in_the_order_of_the_variables(library, make):
    model = library.Sequential([library.layers.Dense(2), library.layers.Dense(1)])
    model.build([None, 3])
    variables = model.trainable_variables
    optimizer = make()
    assert find_adagrad_accumulators(optimizer, variables) is None
    optimizer.build(variables)
    if library is keras:
        natives = [variable.value for variable in variables]
        assert find_adagrad_accumulators(optimizer, natives)[1] is find_adagrad_accumulators(optimizer, variables)[1]
    for i, accumulator in enumerate(find_adagrad_accumulators(optimizer, variables)):
        accumulator.assign(tf.fill(accumulator.shape, float(i)))
    order = [2, 0, 3]
    matching = find_adagrad_accumulators(optimizer, [variables[i] for i in order])
    assert [tuple(each.shape) for each in matching] == [tuple(variables[i].shape) for i in order]
    assert [float(tf.reduce_max(tf.convert_to_tensor(each))) for each in matching] == order
    assert find_adagrad_accumulators(optimizer, [tf.Variable([1.0])]) is None


@pytest.mark.parametrize(
    "optimizer", [tf_keras.optimizers.SGD(), tf_keras.optimizers.Ftrl(), keras.optimizers.Ftrl(), object()]
)
def test_other_optimizers_have_no_accumulators(optimizer):
    variable = keras.Variable([1.0]) if isinstance(optimizer, keras.optimizers.Optimizer) else tf.Variable([1.0])
    if hasattr(optimizer, "build"):
        optimizer.build([variable])
    assert find_adagrad_accumulators(optimizer, [variable]) is None

"""The variables that tasks share, and the conflict over them, in Keras 2 and Keras 3."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.pipeline.divergence.sharpness import ConflictProbe, compute_conflict, find_shared_variables


def make_two_towers(library):
    """A model with an embedding table, two shared layers and two towers."""
    library.utils.set_random_seed(0)
    layers = library.layers
    inputs = layers.Input([2], dtype="int32")
    shared = layers.Flatten()(layers.Embedding(5, 3, name="table")(inputs))
    for name in ("lower", "upper"):
        shared = layers.Dense(4, "tanh", name=name)(shared)
    outputs = [layers.Dense(1, name=name)(shared) for name in ("click", "like")]
    return library.Model(inputs, outputs)


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_tasks_share_the_layers_below_their_towers(library):
    model = make_two_towers(library)
    computed = tf.Variable(0)
    traced = []

    def losses_fn(ids, weight):
        traced.append(ids)
        computed.assign_add(1)
        click, like = model(ids)
        return {
            "click": tf.reduce_mean(tf.square(click - 1.0)),
            "like": weight * tf.reduce_mean(tf.square(like + 1.0)),
            "idle": tf.constant(1.0),
        }

    ids = tf.constant([[1, 2], [2, 2], [4, 0]])
    shared = find_shared_variables(model, losses_fn, ids, tf.constant(1.0))
    assert computed.numpy() == 0
    assert [
        variable is expected for variable, expected in zip(shared, model.trainable_variables[1:5], strict=True)
    ] == ([True] * 4)

    probe = ConflictProbe(losses_fn, shared, model_name=model.name)
    traced.clear()
    usual, heavy = probe(ids, tf.constant(1.0)), probe(ids, tf.constant(40.0))
    assert len(traced) == 1
    assert list(heavy.layers) == ["lower", "upper"]
    for layer in heavy.layers:
        assert heavy.layers[layer]["like"] == pytest.approx(40 * usual.layers[layer]["like"], rel=1e-5)
        assert heavy.layers[layer]["click"] == pytest.approx(usual.layers[layer]["click"], rel=1e-5)
        assert heavy.layers[layer]["idle"] == 0.0
    assert heavy.cosine("click", "like") == pytest.approx(usual.cosine("click", "like"), abs=1e-5)

    natives = [variable if library is tf_keras else variable.value for variable in shared]
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_fn(ids, tf.constant(1.0))
    by_hand = compute_conflict({task: tape.gradient(loss, natives) for task, loss in losses.items()})
    assert by_hand.norms == pytest.approx(usual.norms, rel=1e-5)
    np.testing.assert_allclose(by_hand.cosines, usual.cosines, atol=1e-5)

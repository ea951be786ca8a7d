"""Models as other programs build them: each function returns a compiled model and the data of its fit.

A model for Keras 2 and Keras 3 takes the library as its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

ROWS, BATCH = 40, 8


Made = tuple[Any, dict[str, Any]]
"""A model, and the arguments of ``fit``."""

BOTH: dict[str, Callable[..., Made]] = {}
KERAS_2: dict[str, Callable[..., Made]] = {}


def both(function: Callable[..., Made]) -> Callable[..., Made]:
    """Registers a model for Keras 2 and Keras 3."""
    BOTH[function.__name__] = function
    return function


def keras_2(function: Callable[..., Made]) -> Callable[..., Made]:
    """Registers a model for Keras 2."""
    KERAS_2[function.__name__] = function
    return function


def make_numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, 4)).astype(np.float32)


X = make_numbers()
Y = X.sum(axis=1, keepdims=True)
CLICKS = (Y > 0).astype(np.float32)
IDS = np.random.default_rng(1).integers(1, 9, (ROWS, 5))


@both
def unbuilt_sequential(keras: Any, **compiled: Any) -> Made:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1, "sigmoid")]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **compiled)
    return model, {"x": X, "y": CLICKS, "validation_data": (X, CLICKS), "class_weight": {0: 1.0, 1: 3.0}}


@both
def subclassed_two_towers(keras: Any, **compiled: Any) -> Made:
    class TwoTowers(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared = keras.Sequential([keras.layers.Dense(4, "relu"), keras.layers.Dense(4)])

        def call(self, inputs, training=False):
            left, right = inputs
            return keras.layers.Dot(1)([self.shared(left), self.shared(right)])

    model = TwoTowers()
    model.compile(keras.optimizers.SGD(0.01), keras.losses.MeanSquaredError(), **compiled)
    return model, {"x": [X, make_numbers(1)], "y": Y[:, 0]}


@both
def two_outputs(keras: Any, **compiled: Any) -> Made:
    inputs = {"a": keras.Input((4,), name="a"), "ids": keras.Input((5,), dtype="int64", name="ids")}
    embedded = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4, mask_zero=True)(inputs["ids"]))
    hidden = keras.layers.Dense(8, "relu", name="hidden")(keras.layers.Concatenate()([inputs["a"], embedded]))
    outputs = {
        "click": keras.layers.Dense(1, "sigmoid", name="click")(hidden),
        "minutes": keras.layers.Dense(1, name="minutes")(hidden),
    }
    model = keras.Model(inputs, outputs)
    losses = {"click": keras.losses.BinaryCrossentropy(), "minutes": "mse"}
    model.compile("rmsprop", losses, loss_weights={"click": 1.0, "minutes": 0.1}, **compiled)
    weights = {"click": np.ones(ROWS, np.float32), "minutes": np.arange(ROWS, dtype=np.float32) % 2}
    return model, {"x": {"a": X, "ids": IDS}, "y": {"click": CLICKS, "minutes": Y}, "sample_weight": weights}


@both
def recurrent_cell_with_constants(keras: Any, **compiled: Any) -> Made:
    class Cell(keras.layers.Layer):
        state_size = output_size = 3

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(3, "tanh")

        def call(self, inputs, states, constants=None):
            output = self.dense(inputs) + states[0] + (0.0 if constants is None else constants[0])
            return output, [output]

    sequence, constant = keras.Input((5, 2)), keras.Input((3,))
    outputs = sequence
    if keras is tf_keras:
        outputs = keras.layers.RNN(Cell(), return_sequences=True)(outputs, constants=constant)
    outputs = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(outputs)
    outputs = keras.layers.TimeDistributed(keras.layers.Dense(1))(outputs)
    model = keras.Model([sequence, constant], outputs)
    model.compile("adam", "mse", **compiled)
    return model, {"x": [np.stack([X[:, :2]] * 5, 1), X[:, :3]], "y": np.stack([Y] * 5, 1)}


@both
def broadcast_labels(keras: Any, **compiled: Any) -> Made:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adagrad(0.1), "mse", **compiled)
    return model, {"x": X, "y": Y}


@both
def own_loss_of_a_known_name(keras: Any, **compiled: Any) -> Made:
    def binary_crossentropy(packed: Any, predicted: Any) -> Any:
        """Labels and a mask in one tensor."""
        labels, mask = packed[:, :1], packed[:, 1:]
        return keras.losses.binary_crossentropy(labels, predicted) * mask[:, 0]

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("adam", binary_crossentropy, **compiled)
    return model, {"x": X, "y": np.concatenate([CLICKS, CLICKS], axis=1)}


@both
def own_train_step(keras: Any, **compiled: Any) -> Made:
    class Noisy(keras.layers.Layer):
        def call(self, x):
            return x + tf.random.normal(tf.shape(x), seed=3)

    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.Sequential([keras.layers.Dense(4), keras.layers.ReLU(), Noisy(), keras.layers.Dense(1)])
            self.tracker = keras.metrics.Mean(name="loss")

        def call(self, x):
            return self.inner(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result(), "step_loss": loss}

        @property
        def metrics(self):
            return [self.tracker]

    model = Custom()
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)), **compiled)
    return model, {"x": X, "y": Y}


@both
def generative_adversarial(keras: Any, **compiled: Any) -> Made:
    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = keras.Sequential([keras.layers.Dense(4, name="forge")])
            self.discriminator = keras.Sequential([keras.layers.Dense(1, name="judge")])

        def compile(self, generator_optimizer, discriminator_optimizer, **arguments):
            super().compile(**arguments)
            self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer

        def train_step(self, x):
            real = x[0] if isinstance(x, tuple) else x
            noise = tf.random.stateless_normal(tf.shape(real), [1, 2])
            with tf.GradientTape(persistent=True) as tape:
                forged = self.discriminator(self.generator(noise))
                generator_loss = tf.reduce_mean(tf.square(forged - 1.0))
                judge_loss = tf.reduce_mean(tf.square(forged)) + tf.reduce_mean(tf.square(self.discriminator(real) - 1))
            for loss, network, optimizer in (
                (generator_loss, self.generator, self.generator_optimizer),
                (judge_loss, self.discriminator, self.discriminator_optimizer),
            ):
                variables = network.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return {"g_loss": generator_loss, "d_loss": judge_loss}

    model = Gan()
    model.compile(keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.1), **compiled)
    return model, {"x": X}


@both
def vocabularies(keras: Any, **compiled: Any) -> Made:
    words = np.array([["a b"], ["c d"], ["a d"], ["b c"]] * (ROWS // 4))
    vectorize = keras.layers.TextVectorization(output_sequence_length=2)
    vectorize.adapt(words)
    inputs = keras.Input((1,), dtype="string")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(9, 4)(vectorize(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(1)(embedded))
    model.compile("adam", "mse", **compiled)
    return model, {"x": tf.data.Dataset.from_tensor_slices((words, Y)).batch(BATCH)}


@both
def layers_with_unusual_outputs(keras: Any, **compiled: Any) -> Made:
    class Split(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, x, mask=None):
            return {"scaled": x * self.scale, "none": None, "ids": (tf.argmax(x, axis=-1), x)}

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.split, self.attend = Split(), keras.layers.MultiHeadAttention(2, 2)
            self.state, self.out = keras.layers.GRU(3, return_state=True, activation="relu"), keras.layers.Dense(1)

        def call(self, x, training=False):
            parts = self.split(x)
            sequence = tf.stack([parts["scaled"], parts["ids"][1]], axis=1)
            attended, _ = self.attend(sequence, sequence, return_attention_scores=True)
            _, state = self.state(attended)
            return self.out(state)

    model = Model()
    model.compile("adam", keras.losses.MeanAbsoluteError(), **compiled)
    return model, {"x": X, "y": Y}


@both
def layers_that_tensorflow_fuses(keras: Any, **compiled: Any) -> Made:
    """A layer's last addition, and the activation or addition after the layer."""
    layers = keras.layers
    inputs = keras.Input((4,))
    hidden = layers.Activation("tanh")(layers.Dense(16)(inputs))
    hidden = layers.Dense(16)(hidden)
    hidden = layers.Add()([hidden, layers.Dense(16)(hidden)])
    image = layers.Conv2D(8, 3, padding="same")(layers.Reshape((4, 4, 1))(hidden))
    pooled = layers.GlobalAveragePooling2D()(layers.Activation("elu")(image))
    model = keras.Model(inputs, layers.Dense(1)(pooled))
    model.compile("adam", "mse", **compiled)
    return model, {"x": X, "y": Y}


@both
def half_precision(keras: Any, **compiled: Any) -> Made:
    layers = keras.layers
    dense = layers.Dense(4, "relu", dtype="mixed_float16")
    model = keras.Sequential([keras.Input((4,)), dense, layers.Dense(1, dtype="mixed_float16")])
    scaling = keras.optimizers if hasattr(keras.optimizers, "LossScaleOptimizer") else keras.mixed_precision
    model.compile(scaling.LossScaleOptimizer(keras.optimizers.Adam(0.01)), "mse", **compiled)
    return model, {"x": X, "y": Y}


@keras_2
def ragged_ids(**compiled: Any) -> Made:
    ids = tf.RaggedTensor.from_row_lengths(tf.range(ROWS * 2, dtype=tf.int64) % 9, [3, 1] * (ROWS // 2))
    inputs = tf_keras.Input((None,), dtype="int64", ragged=True)
    output = tf_keras.layers.Dense(1)(tf_keras.layers.LSTM(4)(tf_keras.layers.Embedding(9, 4)(inputs)))
    model = tf_keras.Model(inputs, output)
    model.compile("adam", "mse", **compiled)
    return model, {"x": tf.data.Dataset.from_tensor_slices((ids, Y)).batch(BATCH)}


@keras_2
def sparse_features(**compiled: Any) -> Made:
    inputs = tf_keras.Input((4,), sparse=True)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(1)(inputs))
    model.compile("adam", "mse", **compiled)
    return model, {"x": tf.data.Dataset.from_tensor_slices((tf.sparse.from_dense(X), Y)).batch(BATCH)}


@keras_2
def wide_and_deep(**compiled: Any) -> Made:
    deep = tf_keras.Sequential([tf_keras.layers.Dense(4, "relu"), tf_keras.layers.Dense(1)])
    model = tf_keras.experimental.WideDeepModel(tf_keras.experimental.LinearModel(), deep)
    model.compile(["sgd", "adam"], "mse", **compiled)
    return model, {"x": [X, X], "y": Y}


@keras_2
def composite_optimizer(**compiled: Any) -> Made:
    import tensorflow_recommenders as tfrs

    model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(4), tf_keras.layers.Dense(1)])
    legacy = tf_keras.optimizers.legacy
    halves = [(legacy.SGD(0.01), lambda: model.trainable_variables[:2])]
    halves.append((legacy.Adam(0.01), lambda: model.trainable_variables[2:]))
    model.compile(tfrs.experimental.optimizers.CompositeOptimizer(halves), "mse", **compiled)
    return model, {"x": X, "y": Y}


@keras_2
def control_flow(**compiled: Any) -> Made:
    """AutoGraph converts the ``call`` of both models."""

    class Inner(tf_keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 1), name="kernel")

        def call(self, x):
            if tf.reduce_sum(x) > 0:
                x = -x
            for _ in tf.range(2):
                x += 1.0
            return x @ self.kernel

    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def call(self, x):
            y = self.inner(x)
            if tf.reduce_mean(y) > 0:
                y *= 2.0
            return y

    model = Model()
    decay = tf_keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model.compile(tf_keras.optimizers.legacy.SGD(decay), "mse", **compiled)
    return model, {"x": X, "y": Y}


def _make_tfrs_model(with_retrieval: bool, with_rating: bool, **compiled: Any) -> Made:
    import tensorflow_recommenders as tfrs

    names = [str(i) for i in range(9)]

    class Movies(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.users, self.movies = (
                tf_keras.Sequential(
                    [tf_keras.layers.StringLookup(vocabulary=names), tf_keras.layers.Embedding(len(names) + 1, 4)]
                )
                for _ in range(2)
            )
            self.ratings = tf_keras.Sequential([tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dense(1)])
            self.rating_task = tfrs.tasks.Ranking(
                tf_keras.losses.MeanSquaredError(), metrics=[tf_keras.metrics.MeanAbsoluteError()]
            )
            candidates = tf.data.Dataset.from_tensor_slices(names).batch(3).map(self.movies)
            metric = tfrs.metrics.FactorizedTopK(candidates=candidates, ks=(1, 3))
            self.retrieval_task = tfrs.tasks.Retrieval(metrics=metric)

        def compute_loss(self, features, training=False):
            rating = features.pop("rating")
            users, movies = self.users(features["user"]), self.movies(features["movie"])
            loss = tf.zeros([])
            if with_rating:
                loss += self.rating_task(labels=rating, predictions=self.ratings(tf.concat([users, movies], axis=1)))
            if with_retrieval:
                loss += self.retrieval_task(users, movies)
            return loss

    model = Movies()
    model.compile(tf_keras.optimizers.Adagrad(0.5), **compiled)
    ids = IDS.astype(str)
    features = {"user": ids[:, 0], "movie": ids[:, 1], "rating": Y}
    return model, {"x": tf.data.Dataset.from_tensor_slices(features).batch(BATCH)}


@keras_2
def tfrs_retrieval(**compiled: Any) -> Made:
    return _make_tfrs_model(with_retrieval=True, with_rating=False, **compiled)


@keras_2
def tfrs_ranking(**compiled: Any) -> Made:
    return _make_tfrs_model(with_retrieval=False, with_rating=True, **compiled)


@keras_2
def tfrs_multitask(**compiled: Any) -> Made:
    return _make_tfrs_model(with_retrieval=True, with_rating=True, **compiled)

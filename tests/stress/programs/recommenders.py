"""Ranking and retrieval programs in plain Keras, as in examples of keras-rs, DeepCTR and deep_recommenders."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _clicks(run: Run, rows: int = 1536) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sparse and dense features, and a click."""
    features: dict[str, Any] = {f"c{i}": run.random.integers(0, 20, rows) for i in range(3)}
    score = (features["c0"] % 3 - 1) + (features["c1"] % 2) * (features["c2"] % 3 - 1)
    dense = run.random.normal(size=(rows, 2))
    features |= {f"i{i}": run.data(dense[:, i]) for i in range(2)}
    clicks = run.random.random(rows) < 1 / (1 + np.exp(-1.5 * (score + dense[:, 0])))
    return features, clicks.astype("float32")[:, None]


def _inputs(k: Any) -> tuple[dict[str, Any], list[Any], Any]:
    """Functional inputs, the embeddings of the ids, and the dense features."""
    inputs = {f"c{i}": k.Input((1,), name=f"c{i}", dtype="int32") for i in range(3)}
    embeddings = [
        k.layers.Embedding(20, 4, name=f"emb_{name}", embeddings_regularizer=k.regularizers.L2(1e-5))(x)
        for name, x in inputs.items()
    ]
    numbers = {f"i{i}": k.Input((1,), name=f"i{i}") for i in range(2)}
    return inputs | numbers, embeddings, k.layers.Concatenate()(list(numbers.values()))


@program()
def deep_factorization_machine(run: Run) -> None:
    k, (features, clicks) = run.keras, _clicks(run)
    inputs, embeddings, dense = _inputs(k)

    class Interaction(k.layers.Layer):
        def call(self, x):
            return 0.5 * tf.reduce_sum(
                tf.square(tf.reduce_sum(x, axis=1)) - tf.reduce_sum(tf.square(x), axis=1), axis=1, keepdims=True
            )

    class Predict(k.layers.Layer):
        def build(self, shape):
            self.bias = self.add_weight(shape=(1,), initializer="zeros", name="global_bias")
            super().build(shape)

        def call(self, x):
            return tf.reshape(tf.sigmoid(x + self.bias), (-1, 1))

    stacked = k.layers.Concatenate(axis=1)(embeddings)
    deep = k.layers.Concatenate()([k.layers.Flatten()(stacked), dense])
    deep = k.layers.Dense(16, activation="relu", kernel_regularizer="l2")(deep)
    deep = k.layers.Dense(1, use_bias=False)(k.layers.Dropout(0.1, seed=1)(deep))
    logit = k.layers.Add()([Interaction()(stacked), deep, k.layers.Dense(1, use_bias=False)(dense)])
    model = k.Model(list(inputs.values()), Predict()(logit))
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["binary_crossentropy", k.metrics.AUC()]
    )
    run.fit(model, [features[name] for name in inputs], clicks, batch_size=64, epochs=3, validation_split=0.2)
    run.record(model, {"predicted": model.predict([features[name][:8] for name in inputs], verbose=0)})


@program(2, has_own_optimizer=True)
def wide_and_deep_with_two_optimizers(run: Run) -> None:
    k = run.keras
    x = run.normal(1024, 6)
    y = np.nan_to_num(x).sum(axis=1, keepdims=True)
    linear = k.experimental.LinearModel()
    deep = k.Sequential([k.layers.Dense(units=16, activation="relu"), k.layers.Dense(units=1)])
    model = k.experimental.WideDeepModel(linear, deep)
    model.compile(optimizer=["sgd", "adam"], loss="mse", metrics=["mse"])
    run.fit(model, [x, x], y, epochs=3)


@program()
def mixture_of_experts_multitask(run: Run) -> None:
    k = run.keras
    x = run.normal(1536, 10)
    clean = np.nan_to_num(x)
    income, married = (clean[:, :1] + clean[:, 1:2] > 0) * 1.0, (clean[:, :1] * clean[:, 2:3] > 0) * 1.0

    class MultiGate(k.layers.Layer):
        def build(self, shape):
            self.experts = self.add_weight(shape=(shape[-1], 8, 3), initializer="glorot_uniform", name="expert_kernel")
            self.bias = self.add_weight(shape=(8, 3), initializer="zeros", name="expert_bias")
            self.gates = [
                self.add_weight(shape=(shape[-1], 3), initializer="glorot_uniform", name=f"gate_{i}") for i in range(2)
            ]
            super().build(shape)

        def call(self, x):
            outputs = tf.nn.relu(tf.tensordot(x, self.experts, axes=1) + self.bias)
            return [
                tf.reduce_sum(outputs * tf.nn.softmax(tf.matmul(x, gate))[:, None, :], axis=2) for gate in self.gates
            ]

        def compute_output_shape(self, shape):
            return [(shape[0], 8)] * 2

    inputs = k.Input((10,))
    outputs = [
        k.layers.Dense(1, activation="sigmoid", name=name)(k.layers.Dense(8, activation="relu")(shared))
        for name, shared in zip(("income", "married"), MultiGate()(inputs), strict=True)
    ]
    model = k.Model(inputs, outputs)
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01),
        loss={"income": "binary_crossentropy", "married": "binary_crossentropy"},
        loss_weights={"income": 1.0, "married": 0.5},
        metrics={"income": ["accuracy"], "married": [k.metrics.AUC(name="auc")]},
    )
    run.fit(
        model,
        x,
        {"income": income, "married": married},
        epochs=4,
        validation_data=(clean[:64], {"income": income[:64], "married": married[:64]}),
    )


@program()
def entire_space_multitask(run: Run) -> None:
    k, (features, clicks) = run.keras, _clicks(run, 3072)
    bought = clicks * (features["c0"] % 3 == 2)[:, None] * (run.random.random(clicks.shape) < 0.3)
    inputs, embeddings, dense = _inputs(k)
    shared = k.layers.Concatenate()([k.layers.Flatten()(k.layers.Concatenate(axis=1)(embeddings)), dense])
    ctr = k.layers.Dense(1, activation="sigmoid", name="ctr")(k.layers.Dense(16, activation="relu")(shared))
    cvr = k.layers.Dense(1, activation="sigmoid")(k.layers.Dense(16, activation="relu")(shared))
    model = k.Model(inputs, [ctr, k.layers.Multiply(name="ctcvr")([ctr, cvr])])
    model.compile(run.optimizer(k.optimizers.Adam, 0.005), loss=["binary_crossentropy"] * 2, metrics=[["AUC"], ["AUC"]])
    dataset = (
        tf.data.Dataset.from_tensor_slices((features, (clicks, bought)))
        .shuffle(3072, seed=1)
        .batch(64, drop_remainder=True)
    )
    run.fit(model, dataset, epochs=3)


@program()
def interest_network_with_history(run: Run) -> None:
    k = run.keras
    rows, length = 1024, 6
    history = run.random.integers(1, 30, size=(rows, length))
    history[np.arange(length) >= run.random.integers(1, length + 1, size=(rows, 1))] = 0
    item, age = run.random.integers(1, 30, rows), run.normal(rows, 1)
    labels = (history % 5 == item[:, None] % 5).any(axis=1, keepdims=True).astype("float32")

    class Attention(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.supports_masking = True
            self.score = k.Sequential([k.layers.Dense(8, activation="sigmoid"), k.layers.Dense(1)])

        def build(self, shape):
            self.score.build((None, length, shape[0][-1] * 4))
            super().build(shape)

        def call(self, inputs, mask=None):
            query, keys = inputs
            query = tf.repeat(query, length, axis=1)
            scores = self.score(tf.concat([query, keys, query - keys, query * keys], axis=-1))
            if mask is not None and mask[1] is not None:
                scores = tf.where(tf.expand_dims(mask[1], -1), scores, tf.ones_like(scores) * -1e9)
            return tf.reduce_sum(tf.nn.softmax(scores, axis=1) * keys, axis=1)

        def compute_mask(self, inputs, mask=None):
            return None

        def compute_output_shape(self, shape):
            return (shape[0][0], shape[0][-1])

    past, candidate, years = (
        k.Input((length,), dtype="int32", name="hist"),
        k.Input((1,), dtype="int32", name="item"),
        k.Input((1,), name="age"),
    )
    table = k.layers.Embedding(30, 8, mask_zero=True)
    query = table(candidate)
    interest = Attention()([query, table(past)])
    x = k.layers.Concatenate()([interest, k.layers.Flatten()(query), years])
    x = k.layers.PReLU()(k.layers.BatchNormalization()(k.layers.Dense(16)(x)))
    model = k.Model({"hist": past, "item": candidate, "age": years}, k.layers.Dense(1, activation="sigmoid")(x))
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["AUC"])
    run.fit(model, {"hist": history, "item": item, "age": age}, labels, epochs=5, batch_size=64)


@program()
def collaborative_filtering_embedding_dot(run: Run) -> None:
    k = run.keras
    pairs = run.random.integers(0, 40, size=(2048, 2))
    stars = run.data(1.0 + (pairs.sum(axis=1) % 5))
    scaled = (stars - 1.0) / 4.0

    class Recommender(k.Model):
        def __init__(self, users, movies, width):
            super().__init__()
            options = {"embeddings_initializer": "he_normal", "embeddings_regularizer": k.regularizers.l2(1e-6)}
            self.user, self.user_bias = k.layers.Embedding(users, width, **options), k.layers.Embedding(users, 1)
            self.movie, self.movie_bias = k.layers.Embedding(movies, width, **options), k.layers.Embedding(movies, 1)

        def call(self, inputs):
            user, movie = self.user(inputs[:, 0]), self.movie(inputs[:, 1])
            # A product over all axes, as the public example has it.
            match = tf.tensordot(user, movie, 2)
            return tf.nn.sigmoid(match + self.user_bias(inputs[:, 0]) + self.movie_bias(inputs[:, 1]))

    model = Recommender(40, 40, 4)
    model.compile(loss=k.losses.BinaryCrossentropy(), optimizer=run.optimizer(k.optimizers.Adam, 0.001))
    run.fit(model, pairs, scaled, batch_size=64, epochs=3, validation_split=0.1)


@program()
def two_towers_in_batch(run: Run) -> None:
    k = run.keras
    users = run.random.integers(0, 50, 1536)
    items = (users + run.random.integers(0, 2, 1536)) % 50

    class Retrieval(k.Model):
        def __init__(self):
            super().__init__()
            self.user_model = k.Sequential([k.layers.Embedding(50, 8), k.layers.Dense(8)])
            self.item_model = k.Sequential([k.layers.Embedding(50, 8), k.layers.Dense(8)])
            self.loss_fn = k.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")

        def build(self, shape):
            self.user_model.build((None,))
            self.item_model.build((None,))
            super().build(shape)

        def call(self, inputs):
            return {"user": self.user_model(inputs["user"]), "item": self.item_model(inputs["item"])}

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True, **options):
            scores = tf.matmul(y_pred["user"], y_pred["item"], transpose_b=True)
            return self.loss_fn(tf.eye(tf.shape(scores)[0]), scores)

    model = Retrieval()
    model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.1))
    dataset = tf.data.Dataset.from_tensor_slices({"user": users, "item": items}).batch(64)
    run.fit(model, dataset, epochs=4)


@program(3)
def self_attentive_sequences(run: Run) -> None:
    k = run.keras
    length, items = 8, 30
    start = run.random.integers(1, items, size=(512, 1))
    chain = (start + np.arange(length + 1)) % (items - 1) + 1
    chain[np.arange(length + 1)[None] < run.random.integers(0, 4, size=(512, 1))] = 0
    negative = run.random.integers(1, items, size=(512, length))

    class SasRec(k.Model):
        def __init__(self):
            super().__init__()
            self.items = k.layers.Embedding(
                items, 16, embeddings_regularizer=k.regularizers.l2(1e-3), name="item_embedding"
            )
            self.places = k.layers.Embedding(length, 16)
            self.attention = k.layers.MultiHeadAttention(1, 16, dropout=0.1)
            self.norms = [k.layers.LayerNormalization(epsilon=1e-8) for _ in range(2)]
            self.feed = k.Sequential([k.layers.Dense(16, activation="relu"), k.layers.Dense(16)])
            self.loss_fn = k.losses.BinaryCrossentropy(from_logits=True, reduction=None)

        def call(self, inputs, training=False):
            x = self.items(inputs["item_ids"]) + self.places(tf.range(length))
            keep = inputs["padding_mask"]
            x = x * tf.cast(keep, x.dtype)[..., None]
            x = x + self.attention(
                self.norms[0](x), x, attention_mask=keep[:, None, :], use_causal_mask=True, training=training
            )
            return x + self.feed(self.norms[1](x))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False, **options):
            positive = tf.reduce_sum(self.items(y["positive"]) * y_pred, axis=-1)
            other = tf.reduce_sum(self.items(y["negative"]) * y_pred, axis=-1)
            logits = tf.concat([positive, other], axis=1)[..., None]
            labels = tf.concat([tf.ones_like(positive), tf.zeros_like(other)], axis=1)[..., None]
            weight = tf.concat([sample_weight, sample_weight], axis=1)
            return tf.reduce_sum(self.loss_fn(labels, logits) * weight) / tf.reduce_sum(weight)

    model = SasRec()
    model.compile(run.optimizer(k.optimizers.Adam, 0.005, beta_2=0.98))
    x = {"item_ids": chain[:, :-1], "padding_mask": chain[:, :-1] != 0}
    y = {"positive": chain[:, 1:], "negative": negative}
    dataset = tf.data.Dataset.from_tensor_slices((x, y, (chain[:, 1:] != 0).astype("float32"))).batch(32)
    run.fit(model, dataset, epochs=3)


@program()
def pairwise_hinge_ranking(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 5, 4)
    relevance = np.clip(np.round(np.nan_to_num(x).sum(axis=2)), -1, 2)
    relevance[run.random.random(relevance.shape) < 0.1] = -1

    class PairwiseHinge(k.losses.Loss):
        def call(self, y_true, y_pred):
            y_true = tf.cast(y_true, y_pred.dtype)
            valid = tf.cast((y_true[:, :, None] > y_true[:, None, :]) & (y_true[:, None, :] >= 0), y_pred.dtype)
            return tf.reduce_sum(valid * tf.nn.relu(1.0 - (y_pred[:, :, None] - y_pred[:, None, :])), axis=(1, 2))

    def ndcg(y_true, y_pred):
        gains = 2.0 ** tf.nn.relu(tf.cast(y_true, tf.float32)) - 1.0
        discount = 1.0 / tf.math.log(2.0 + tf.range(5, dtype=tf.float32))
        order = tf.argsort(y_pred, axis=1, direction="DESCENDING")
        best = tf.reduce_sum(tf.sort(gains, axis=1, direction="DESCENDING") * discount, axis=1)
        return tf.math.divide_no_nan(tf.reduce_sum(tf.gather(gains, order, batch_dims=1) * discount, axis=1), best)

    inputs = k.Input((5, 4))
    scores = k.layers.Dense(1)(k.layers.Dense(8, activation="relu")(inputs))
    model = k.Model(inputs, k.layers.Reshape((5,))(scores))
    model.compile(run.optimizer(k.optimizers.Adagrad, 0.1), PairwiseHinge(), metrics=[ndcg])
    run.fit(model, x, relevance, epochs=5, batch_size=32)
